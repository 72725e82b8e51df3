"""The exchange on loopback: what unmodified clients of the real one connect to."""

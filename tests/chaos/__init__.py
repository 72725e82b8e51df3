"""Runs that are made to suffer, and judges that know nothing of the engine."""

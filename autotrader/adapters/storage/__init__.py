"""Files on disk: market history as rows."""

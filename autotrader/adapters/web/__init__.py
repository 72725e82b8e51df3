"""What a browser shows: the report of a run."""

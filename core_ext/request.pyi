"""Requests at the venue: the rules that need no state."""

"""Runs over history: replay, and what is learned from it."""

"""The same jobs on other people's tools, where they are installed: an extra environment, never a dependency."""

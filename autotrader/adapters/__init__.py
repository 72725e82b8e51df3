"""Adapters: what knows a library, a file format or a wire protocol, behind the names that the rest speaks."""

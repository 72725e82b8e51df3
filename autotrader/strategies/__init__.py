"""Strategies in Python: each a ``core_ext.strategy.Strategy`` and its parameters."""

"""Figures to reach, measured as ratios against what the same work costs elsewhere."""

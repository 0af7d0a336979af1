"""The runs of Allen-Zhu & Li (arXiv 2005.10190)."""

"""The runs of Li & Li (arXiv 2410.08503)."""

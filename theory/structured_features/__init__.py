"""The claims of Li & Li about patch-structured data (arXiv 2410.08503)."""

"""The claims of the article by Allen-Zhu & Li about their paper (arXiv 2005.10190)."""

"""The runs on real images: the pictures of the article by Allen-Zhu & Li (arXiv 2005.10190)."""

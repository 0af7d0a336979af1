"""The runs of Shi et al. (arXiv 2202.06488)."""

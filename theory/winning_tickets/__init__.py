"""The claims of Shi et al. about adversarial winning tickets (arXiv 2202.06488)."""

"""The runs of Loo, Hasani, Amini & Rus (arXiv 2210.12030)."""

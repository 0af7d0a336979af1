"""The claims of Loo, Hasani, Amini & Rus about tangent kernels (arXiv 2210.12030)."""

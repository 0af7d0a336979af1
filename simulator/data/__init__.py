"""Data models of the papers and the batches drawn from them."""

"""What `purify benchmark` measures."""

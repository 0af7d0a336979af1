"""Networks of the papers, each with hand-written forward and backward passes."""

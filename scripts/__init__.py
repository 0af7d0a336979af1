"""Commands: thin wrappers around simulator and theory, no numerics."""

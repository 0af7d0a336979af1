"""Programs of at most 40 lines that use the library: ``python -m scripts.examples.own_attack``."""

"""Winning tickets: masks that keep the dynamics of the dense network."""

"""Accuracy against radius, critical radii, and the bracket around the truth."""

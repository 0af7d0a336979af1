"""Attacks: searches of a ball for a perturbation with a small margin."""

"""Certificates: lower bounds on a margin that hold in the whole ball."""

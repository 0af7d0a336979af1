"""Certificates of the patch network."""

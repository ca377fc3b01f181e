"""A Django app that keeps uploads."""

"""Stored results of tests, and when a new result counts as equal."""

"""Runs on disk, which can be resumed."""

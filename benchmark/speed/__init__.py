"""Engines against each other: each in a process of its own, asked in turn on the same states."""

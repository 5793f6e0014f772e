"""Forecasts of a run: how much memory and time it needs, and in which order models run."""

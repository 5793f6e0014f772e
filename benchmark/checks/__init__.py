"""Checks of an engine against itself: batches and orders, decoding and prefill."""

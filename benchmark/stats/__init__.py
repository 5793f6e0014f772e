"""Tests and intervals that treat the queries of one sequence as a cluster."""

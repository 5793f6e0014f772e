"""Exports: Parquet, JUnit, datasets with their cards, and tasks for evaluation harnesses."""

"""What others read: Parquet, JUnit, data sets with their cards, tasks of evaluation harnesses."""

"""Record every stage of a run, and compare two records to find the cause of a change."""

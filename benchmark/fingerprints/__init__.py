"""Every stage of a run recorded, and what a shift between two records came from."""

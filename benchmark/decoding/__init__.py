"""From prompt ids to completions. The task is known here only by its answer expression."""

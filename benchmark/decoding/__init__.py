"""From prompt ids to completions. Nothing here knows boxes beyond the answer expression."""

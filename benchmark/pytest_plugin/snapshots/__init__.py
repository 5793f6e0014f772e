"""Results kept beside the tests, and when a new one counts as the same."""

"""Speed comparison of engines: each in its own process, timed in turn on the same states."""

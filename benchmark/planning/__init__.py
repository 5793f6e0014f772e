"""Before a run: how much memory it needs, how long it takes, and in which order models go."""

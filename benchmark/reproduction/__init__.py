"""The whole reproduction: which models are measured where, and the verdicts on their pairs."""

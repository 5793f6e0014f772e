"""The command line: one module a verb; nothing heavy is imported before a verb runs."""

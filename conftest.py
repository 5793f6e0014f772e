"""The whole suite uses the benchmark's own pytest plugin, as any user's suite would."""

pytest_plugins = ["benchmark.pytest_plugin", "pytester"]

"""The settings of the models of many pairs, of ``reproduce`` and of ``pytest -m gpu``."""

SETTINGS_OF_PAIRS = (
    *("engine", "protocol", "dtype", "batch_size", "max_new_tokens"),
    *("tensor_parallel", "pipeline_parallel"),
)
"""Those other than the device; the registry has the rest, a model's quantization too."""

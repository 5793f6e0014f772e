"""The rows of the table of engines that the duties of an engine are tested on."""

from collections.abc import Sequence

from benchmark.decoding.engines import ENGINES, decoding_engines


def with_weights() -> Sequence[str]:
    """Return the names of the engines that decode with weights in this process."""
    return [name for name in decoding_engines() if ENGINES[name].loads_weights]

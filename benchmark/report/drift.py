"""Comparisons with a recorded state of the libraries, as the page shows them."""

from collections.abc import Mapping, Sequence


def drift_views(documents: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """The documents."""
    return list(documents)

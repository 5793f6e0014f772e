"""Shared code of the commands that compare two measurements."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.runs.paired_comparison import PairedComparison
    from benchmark.runs.requests import RunRequest


def measure_both(
    store: Path, base: "RunRequest", variant: "RunRequest", *, quiet: bool = False
) -> "PairedComparison":
    """Compare two measurements of the store, measuring first if one is missing.

    Both are prepared before either is decoded, so that an unusable second one fails at once.
    """
    from benchmark.runs.measure import prepare
    from benchmark.runs.model_store import ModelStore
    from benchmark.runs.paired_comparison import compare
    from benchmark.runs.progress import RunProgress
    from benchmark.terminal import console

    with RunProgress(console(stderr=True, quiet=quiet)) as progress:
        models = ModelStore(store, progress)
        requests = (base, variant)
        prepared = [prepare(request, progress, models.loaders) for request in requests]
        return compare(*map(models.measure_prepared, requests, prepared))


def show(
    title: str,
    names: tuple[str, str],
    comparison: "PairedComparison",
    words: str,
    more: dict[str, object],
    *,
    as_json: bool,
) -> None:
    """Print the comparison as a table and a sentence, or as JSON that includes ``more``."""
    from benchmark.runs.paired_table import comparison_table
    from benchmark.terminal import console

    if as_json:
        print(json.dumps({**more, **comparison.as_json()}, indent=2))
        return
    summaries = (comparison.base.summary, comparison.variant.summary)
    console().print(comparison_table(title, names, summaries, comparison.tests))
    print(words)

"""Shared code of the commands that compare two measurements."""

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.writing import Output

if TYPE_CHECKING:
    from benchmark.runs.paired_comparison import PairedComparison
    from benchmark.runs.requests import DataRequest, RunRequest
    from benchmark.runs.settings import Settings


def registered_request(
    model: str, registry_file: Path | None, store: Path, data: "DataRequest", settings: "Settings"
) -> "RunRequest":
    """Return the request for a registered or other model, measured into the store.

    Raises:
        DataError: when the registry cannot be read.
    """
    from benchmark.models.registry import load_registry
    from benchmark.runs.requests import RunRequest, registered

    request = RunRequest.of(settings, data=data, out=store)
    return registered(load_registry(registry_file), model, request)


def measure_both(
    store: Path, base: "RunRequest", variant: "RunRequest", output: Output
) -> "PairedComparison":
    """Compare two measurements of the store, measuring first if one is missing.

    Both are prepared before either is decoded, so that an unusable second one fails at once.
    """
    from benchmark.runs.measure import prepare
    from benchmark.runs.model_store import ModelStore
    from benchmark.runs.paired_comparison import compare
    from benchmark.runs.progress import RunProgress
    from benchmark.terminal import console

    with RunProgress(console(stderr=True, quiet=output.quiet)) as progress:
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
    output: Output,
) -> None:
    """Print the comparison as a table and a sentence, or as JSON that includes ``more``."""
    from rich.text import Text

    from benchmark.runs.paired_table import comparison_table
    from benchmark.terminal import console

    if not output.as_json:
        summaries = (comparison.base.summary, comparison.variant.summary)
        console().print(comparison_table(title, names, summaries, comparison.tests))
        console().print(Text(words))
    output.result({**more, **comparison.as_json()})

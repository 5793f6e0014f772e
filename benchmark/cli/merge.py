"""``merge``: the measurements of several stores in one, and the verdicts on pairs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.detect import Margin, margin_share
from benchmark.cli.options import RegistryFile, out
from benchmark.cli.writing import Output

if TYPE_CHECKING:
    from benchmark.reproduction.merging import Merged

_FAILED = 1

Stores = Annotated[
    list[Path], typer.Argument(help="Folders of measurements, such as of shards.", metavar="DIR")
]


@output_options()
def merge(
    stores: Stores,
    store: Annotated[Path, out("The folder of all measurements.", "DIR")],
    registry_file: RegistryFile = None,
    margin: Margin = None,
    *,
    output: Output,
) -> None:
    """Copy the measurements of several stores into one, and judge the pairs that it has.

    Copies of one measurement must have the same answers. All must be of one reproduction: the same
    data, settings and libraries. Nothing is written otherwise.
    """
    from benchmark.models.registry import load_registry
    from benchmark.reproduction.merging import judge_merged, merge_stores
    from benchmark.reproduction.summary import pairs_as_json, summary_lines
    from benchmark.reproduction.verdicts import PairReport
    from benchmark.stats.constants import CLOSE_MARGIN

    registry = load_registry(registry_file)
    merged = merge_stores(stores, store, output.say)
    pairs = judge_merged(merged, registry, margin_share(margin, CLOSE_MARGIN))
    if not output.as_json:
        print("\n".join([*summary_lines({}, pairs), *_lines(merged, store)]))
    output.result({"runs": merged.as_json(), "pairs": pairs_as_json(pairs)})
    if any(isinstance(pair, PairReport) and pair.problems for pair in pairs):
        raise typer.Exit(_FAILED)


def _lines(merged: "Merged", store: Path) -> list[str]:
    """Return what the store has, and a line about different hardware."""
    finished = sum(run.finished for run in merged.runs)
    lines = [f"{store}: {finished} of {len(merged.runs)} runs finished; {merged.copied} copied"]
    if len(merged.hardware) > 1:
        parts = ", ".join(f"{name} ({count})" for name, count in merged.hardware.most_common())
        lines.append(f"note: measured on different hardware: {parts}")
    return lines

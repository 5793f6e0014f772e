"""``merge``: the measurements of several stores in one, and the verdicts on pairs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.detect import Margin, margin_share
from benchmark.cli.options import RegistryFile, flag, out
from benchmark.cli.plan import OfExperiment, PapersPairs
from benchmark.cli.reproduce import Only
from benchmark.cli.writing import Output

if TYPE_CHECKING:
    from benchmark.reproduction.merging import Merged, MergedPairs

_FAILED = 1

Stores = Annotated[
    list[Path], typer.Argument(help="Folders of measurements, such as of shards.", metavar="DIR")
]
RequireAll = Annotated[
    bool, flag("--require-all", text="Exit with 1 also if a model of these pairs is not measured.")
]


@output_options()
def merge(
    stores: Stores,
    store: Annotated[Path, out("The folder of all measurements.", "DIR")],
    only: Only = None,
    experiment: OfExperiment = None,
    registry_file: RegistryFile = None,
    margin: Margin = None,
    *,
    paper: PapersPairs = False,
    require_all: RequireAll = False,
    output: Output,
) -> None:
    """Copy the measurements of several stores into one, and judge the pairs.

    Copies of one measurement must have the same answers. All must be of one reproduction: the same
    data, settings and libraries. Nothing is written otherwise. Pairs are chosen as in reproduce;
    those that no store has, and models that are not measured, are listed.
    """
    from benchmark.models.registry import load_registry
    from benchmark.reproduction.merging import judge_merged, merge_stores
    from benchmark.reproduction.selection import selected_pairs
    from benchmark.reproduction.summary import pairs_as_json, summary_lines
    from benchmark.reproduction.verdicts import PairReport
    from benchmark.stats.constants import CLOSE_MARGIN

    registry = load_registry(registry_file)
    wanted = selected_pairs(registry, only, experiment, paper=paper)
    merged = merge_stores(stores, store, output.say, registry)
    judged = judge_merged(merged, registry, wanted, margin_share(margin, CLOSE_MARGIN))
    if not output.as_json:
        print("\n".join([*summary_lines({}, judged.pairs), *_lines(merged, judged, store)]))
    pairs = pairs_as_json(judged.outcomes)
    output.result({"runs": merged.as_json(), "pairs": pairs, "missing": [*judged.missing]})
    failed = any(isinstance(pair, PairReport) and pair.problems for pair in judged.pairs)
    if failed or (require_all and judged.missing):
        raise typer.Exit(_FAILED)


def _lines(merged: "Merged", judged: "MergedPairs", store: Path) -> list[str]:
    """Return what the store has and lacks, and a line about different hardware."""
    from benchmark.reproduction.summary import wrapped

    finished = sum(run.finished for run in merged.runs)
    lines = [f"{store}: {finished} of {len(merged.runs)} runs finished; {merged.copied} copied"]
    if judged.unmeasured:
        names = ", ".join(pair.id for pair in judged.unmeasured)
        lines += wrapped(f"pairs of which no model is measured: {names}")
    if judged.missing:
        lines += wrapped(f"models that are not measured: {', '.join(judged.missing)}")
    if len(merged.hardware) > 1:
        parts = ", ".join(f"{name} ({count})" for name, count in merged.hardware.most_common())
        lines.append(f"note: measured on different hardware: {parts}")
    return lines

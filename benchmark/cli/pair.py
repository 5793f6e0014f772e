"""``pair``: compare two models on the same states."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.bundles import data_options, output_options, settings_options
from benchmark.cli.comparisons import measure_both, show
from benchmark.cli.detect import Margin, margin_share
from benchmark.cli.options import (
    ModelStoreFolder,
    RegistryFile,
)
from benchmark.cli.writing import Output

if TYPE_CHECKING:
    from benchmark.hypotheses.pair_verdict import PairVerdict
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.settings import Settings

Base = Annotated[str, typer.Argument(help="A registry key, or a model as for run.", metavar="BASE")]
Variant = Annotated[
    str, typer.Argument(help="The further trained model, likewise.", metavar="VARIANT")
]

_NAME_WIDTH = 38
"""Two of them and an arrow fill 80 columns."""


@output_options()
@data_options()
@settings_options("protocol", "device", "dtype", "batch_size")
def pair(
    base: Base,
    variant: Variant,
    registry_file: RegistryFile = None,
    store: ModelStoreFolder = Path("runs/store"),
    margin: Margin = None,
    *,
    data: "DataRequest",
    settings: "Settings",
    output: Output,
) -> None:
    """Measure two models on the same states and compare them, clustered by sequence.

    Measurements that are already in the store are reused. A pair whose hypothesis is the published
    difference is supported if the two are equal within --margin (5 points).
    """
    from benchmark.hypotheses.pair_verdict import judge
    from benchmark.models.registry import load_registry
    from benchmark.models.registry_types import Pair
    from benchmark.models.short_name import short_name
    from benchmark.runs.requests import RunRequest, registered
    from benchmark.stats.constants import CLOSE_MARGIN
    from benchmark.terminal import shortened

    registry = load_registry(registry_file)
    request = RunRequest.of(settings, data=data, out=store)
    first, second = (registered(registry, name, request) for name in (base, variant))
    comparison = measure_both(store, first, second, output)
    hypothesis = registry.find_pair(base, variant) or Pair(
        id="pair", experiment="code", base=base, variant=variant, hypothesis="gain"
    )
    verdict = judge(hypothesis, comparison.tests, data.task, margin_share(margin, CLOSE_MARGIN))
    words = replace(verdict, warning="").words  # the table has the warning
    words = f"hypothesis at numops >= 1, {hypothesis.hypothesis}: {words}"
    names = (short_name(base), short_name(variant))
    title = " -> ".join(shortened(name, _NAME_WIDTH) for name in names)
    more = {"hypothesis": hypothesis.hypothesis, **_verdict_as_json(verdict)}
    show(title, ("base", "variant"), comparison, words, more, output)


def _verdict_as_json(verdict: "PairVerdict") -> dict[str, object]:
    other = verdict.other
    return {
        "score": verdict.score,
        "verdict": verdict.status,
        "reason": verdict.reason,
        "holds": verdict.holds,
        "decision": verdict.decision and verdict.decision.as_json(),
        "other": other and {"score": other.score, "verdict": other.status, "holds": other.holds},
    }

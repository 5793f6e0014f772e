"""``claims``: decide the paper's claims on a set of results."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from benchmark.cli.bundles import output_options
from benchmark.cli.options import RegistryFile, flag, option
from benchmark.cli.writing import Output

if TYPE_CHECKING:
    from benchmark.hypotheses.claims import JudgedClaim
    from benchmark.hypotheses.pooled import PooledExperiment
    from benchmark.hypotheses.results import Results

ResultsFolder = Annotated[
    str, option("published, or a folder with result.json in or below it.", metavar="DIR")
]

_PUBLISHED = "published"


@output_options()
def claims(
    results: ResultsFolder = _PUBLISHED,
    registry_file: RegistryFile = None,
    *,
    sensitivity: Annotated[
        bool, flag("--sensitivity", text="Every verdict under other choices.")
    ] = False,
    output: Output,
) -> None:
    """Decide every claim of the paper on a set of results.

    Answers are scored by exact, as in the paper; a claim that the set score decides differently
    shows that verdict too (in the JSON: other). Below the table are the pooled effects of code,
    math and alignment, with how much their pairs differ (in the JSON: pooled). Models measured
    from an alternative repository are named there (in the JSON: alternatives). With --sensitivity,
    each verdict under other design effects, margins, readings of the random baseline, and by set.
    """
    from benchmark.hypotheses.claims import audit
    from benchmark.hypotheses.pooled import pooled_experiments

    collected = _collected(results, registry_file)
    if sensitivity:
        _vary(results, collected, output)
        return
    judged, pooled = audit(collected), pooled_experiments(collected)
    if not output.as_json:
        _show(results, judged, pooled, collected)
    output.result(
        {**_document(results, judged, collected), "pooled": [p.as_json() for p in pooled]}
    )


def _collected(results: str, registry_file: Path | None) -> "Results":
    from benchmark.hypotheses.results import published_results
    from benchmark.models.published import published
    from benchmark.models.registry import load_registry
    from benchmark.runs.store.results import read_results

    registry = load_registry(registry_file)
    if results == _PUBLISHED:
        return published_results(published().values())
    return read_results(Path(results), registry)


def _vary(results: str, collected: "Results", output: Output) -> None:
    """Print the verdicts under each variation, or as JSON by claim and choice."""
    from benchmark.hypotheses.sensitivity import variations, vary
    from benchmark.hypotheses.table import sensitivity_table
    from benchmark.terminal import console

    varied, chosen = vary(collected), variations(collected)
    if not output.as_json:
        console().print(sensitivity_table(_source(results), varied, chosen))
    names = [f"{one.choice} {one.value}".strip() for one in chosen]
    verdicts = {row.claim.id: dict(zip(names, row.statuses, strict=True)) for row in varied}
    output.result({"results": results, "verdicts": verdicts})


def _source(results: str) -> str:
    return "the published results (Table 6)" if results == _PUBLISHED else results


def _show(
    results: str,
    judged: "Sequence[JudgedClaim]",
    pooled: "Sequence[PooledExperiment]",
    collected: "Results",
) -> None:
    """Print the table, the pooled effects, and what was left out."""
    from benchmark.hypotheses.table import claims_table, pooled_lines
    from benchmark.stats.states_needed import few_states_warning
    from benchmark.terminal import console

    console().print(claims_table(_source(results), judged))
    for line in pooled_lines(pooled):
        print(line)
    if warning := few_states_warning(*(len(one.outcomes or ()) for one in collected.entries)):
        print(warning)
    for line in collected.ignored:
        print(f"left out of all claims: {line}")
    for line in collected.notes:
        print(f"note: {line}")


def _document(
    results: str, judged: "Sequence[JudgedClaim]", collected: "Results"
) -> dict[str, object]:
    from benchmark.stats.constants import LEVEL
    from benchmark.stats.published import DESIGN_EFFECT

    return {
        "results": results,
        "level": LEVEL,
        "design_effect_of_counts": DESIGN_EFFECT,
        "claims": [claim.as_json() for claim in judged],
        "alternatives": [
            {"model": r.model, "alternative": r.alternative, "source": r.source}
            for r in collected.alternatives
        ],
        "ignored": list(collected.ignored),
        "notes": collected.notes,
    }

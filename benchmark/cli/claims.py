"""``claims``: decide the paper's claims on a set of results."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.options import RegistryFile
from benchmark.cli.writing import Output

_PUBLISHED = "published"


@output_options()
def claims(
    results: Annotated[
        str,
        typer.Option(help="published, or a folder with result.json in or below it.", metavar="DIR"),
    ] = _PUBLISHED,
    registry_file: RegistryFile = None,
    *,
    output: Output,
) -> None:
    """Decide every claim of the paper on a set of results.

    Answers are scored by exact, as in the paper; a claim that the set score decides differently
    shows that verdict too (in the JSON: other). Models measured from an alternative repository
    are named below the table (in the JSON: alternatives).
    """
    from benchmark.hypotheses.claims import audit
    from benchmark.hypotheses.results import published_results
    from benchmark.hypotheses.table import claims_table
    from benchmark.models.published import published
    from benchmark.models.registry import load_registry
    from benchmark.runs.store.results import read_results
    from benchmark.stats.constants import LEVEL
    from benchmark.stats.published import DESIGN_EFFECT
    from benchmark.terminal import console

    registry = load_registry(registry_file)
    if results == _PUBLISHED:
        collected = published_results(published().values())
    else:
        collected = read_results(Path(results), registry)
    judged = audit(collected)
    document = {
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
    if not output.as_json:
        source = "the published results (Table 6)" if results == _PUBLISHED else results
        console().print(claims_table(source, judged))
        for line in collected.ignored:
            print(f"left out of all claims: {line}")
        for line in collected.notes:
            print(f"note: {line}")
    output.result(document)

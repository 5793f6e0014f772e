"""``claims``: the paper's claims on any set of results."""

import json
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import Json, RegistryFile

_PUBLISHED = "published"


def claims(
    results: Annotated[
        str,
        typer.Option(help="published, or a folder with result.json in or below it.", metavar="DIR"),
    ],
    registry_file: RegistryFile = None,
    *,
    as_json: Json = False,
) -> None:
    """Decide every claim of the paper on a set of results, and say how sure that is.

    Right answers are counted by the exact score, as in the paper; a claim that the set score
    decides differently has that verdict too (in the JSON: other). A model that was measured from an
    alternative repository is named below the table (in the JSON: alternatives).
    """
    from rich.console import Console

    from benchmark.hypotheses.claims import audit
    from benchmark.hypotheses.findings import LEVEL
    from benchmark.hypotheses.results import published_results
    from benchmark.hypotheses.table import claims_table
    from benchmark.models.published import published
    from benchmark.models.registry import load_registry
    from benchmark.runs.store.results import read_results
    from benchmark.stats.published import DESIGN_EFFECT

    known = load_registry(registry_file)
    if results == _PUBLISHED:
        found = published_results(published().values())
    else:
        found = read_results(Path(results), known)
    judged = audit(found)
    if as_json:
        document = {
            "results": results,
            "level": LEVEL,
            "design_effect_of_counts": DESIGN_EFFECT,
            "claims": [each.as_json() for each in judged],
            "alternatives": [
                {"model": each.model, "alternative": each.alternative, "source": each.source}
                for each in found.alternatives
            ],
            "ignored": list(found.ignored),
            "notes": found.notes,
        }
        print(json.dumps(document, indent=2))
        return
    source = "the published results (Table 6)" if results == _PUBLISHED else results
    Console().print(claims_table(source, judged))
    for line in found.ignored:
        print(f"left out: {line}")
    for line in found.notes:
        print(f"note: {line}")

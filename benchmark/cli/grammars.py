"""``grammars``: compare the tokens that grammar backends allow."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.writing import Output

if TYPE_CHECKING:
    from rich.table import Table

    from benchmark.fingerprints.grammar_differences import GrammarDifference

Names = Annotated[
    list[str] | None,
    typer.Argument(help="Tokenizers, by default all fetched ones.", metavar="NAME"),
]


@output_options()
def grammars(names: Names = None, *, output: Output) -> None:
    """Compare what xgrammar and llguidance allow with outlines-core, along correct answers.

    Each difference has a kind; backends that are not installed are left out. The JSON has an entry
    per tokenizer and backend, with the differences.
    """
    from benchmark.decoding.grammar_backends import REFERENCE, installed_backends
    from benchmark.errors import ModelError
    from benchmark.fingerprints.grammar_differences import GrammarDifference
    from benchmark.fingerprints.grammars import family_grammars
    from benchmark.fingerprints.tokenizers import fetched_families
    from benchmark.terminal import console

    families = names or fetched_families()
    if not families:
        raise ModelError("no tokenizer is fetched; run: python -m benchmark fetch --all")
    backends = installed_backends()
    if not [name for name in backends if name != REFERENCE]:
        raise ModelError("no other grammar backend is installed; run: pip install --group grammars")
    results = list[tuple[str, str, Sequence[GrammarDifference]]]()
    for family in families:
        output.say(f"tracing {family}")
        traced = family_grammars(family, backends)
        differences = list(traced.differences())
        others = (backend for backend in backends if backend != REFERENCE)
        results += [(family, b, [one for one in differences if one.backend == b]) for b in others]
    if not output.as_json:
        console().print(_table(results))
    output.result(
        [
            {"tokenizer": family, "backend": backend, "differences": list(map(asdict, differences))}
            for family, backend, differences in results
        ]
    )


def _table(results: "Sequence[tuple[str, str, Sequence[GrammarDifference]]]") -> "Table":
    """Return a row per difference; a backend without differences has one row."""
    from benchmark.terminal import plain_table

    table = plain_table(None)
    for name in ("tokenizer", "backend", "difference"):
        table.add_column(name)
    for name in ("tokens", "positions"):
        table.add_column(name, justify="right")
    table.add_column("example")
    for family, backend, differences in results:
        for cells in map(_cells, differences):
            table.add_row(family, backend, *cells)
        if not differences:
            table.add_row(family, backend, "same")
    return table


def _cells(difference: "GrammarDifference") -> tuple[str, str, str, str]:
    if difference.kind == "fails":
        return ("fails", "", "", difference.example)
    verb = "allows" if difference.more else "forbids"
    counts = (str(difference.tokens), str(difference.positions))
    return (f"{verb} {difference.kind}", *counts, difference.example)

"""``bisect``: which release of a library moved a stage."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

ProbeKind = Annotated[
    str, typer.Option("--probe", help="fingerprint (our way), plain (libraries' own), sentinel.")
]
With = Annotated[
    list[str] | None, typer.Option("--with", help="More libraries to install, name==version.")
]


def bisect(
    library: Annotated[str, typer.Argument(help="Its name on the package index.")],
    old: Annotated[str, typer.Argument(help="The release that it is held against.")],
    new: Annotated[str, typer.Argument(help="The newest release.")],
    model: Annotated[
        str | None, typer.Option(help="A folder, a GGUF file or an identifier.", metavar="M")
    ] = None,
    states: Annotated[int, typer.Option(help="States of the probe.", min=1)] = 4,
    kind: ProbeKind = "fingerprint",
    depth: Annotated[
        str, typer.Option(help="first, every (all moves), or each (measure each release).")
    ] = "first",
    alongside: With = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write it as JSON here.", metavar="FILE")
    ] = None,
    *,
    pre: Annotated[bool, typer.Option("--pre", help="Pre-releases too.")] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try again what could not be installed or run.")
    ] = False,
) -> None:
    """Find the first release of a library that moved any stage, by binary search.

    Each release gets an environment of its own over this one, and all is kept: stopped, the same
    command goes on. Exit status as of compare: 0, 3 or 4.
    """
    from benchmark.pipeline.bisection import bisect as searched
    from benchmark.pipeline.probes import probe, workbench
    from benchmark.regression.releases import between, releases
    from benchmark.report.culprits import bisection_lines

    wanted = between(releases(library, pre=pre), library, old, new)
    bench = workbench(probe(kind, model, states), _say, retry=retry)
    found = searched(library, wanted, bench, depth, tuple(alongside or ()))
    if json_file:
        json_file.write_text(json.dumps(found.as_json(), indent=2) + "\n", encoding="utf-8")
    for line in bisection_lines(found):
        print(line)
    raise typer.Exit(found.exit_status)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

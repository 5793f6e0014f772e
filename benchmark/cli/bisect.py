"""``bisect``: which release of a library changed a stage."""

import sys
from typing import Annotated, Literal

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.fingerprint import ProbeName
from benchmark.cli.options import Repeats, Retry, flag
from benchmark.cli.writing import Output

Probe = Annotated[
    ProbeName,
    typer.Option("--probe", help="As for fingerprint; vanilla is the libraries alone."),
]
With = Annotated[
    list[str] | None,
    typer.Option("--with", help="More libraries to install.", metavar="NAME==VERSION"),
]


@output_options()
def bisect(
    library: Annotated[
        str, typer.Argument(help="The library's name on the package index.", metavar="LIBRARY")
    ],
    old: Annotated[
        str, typer.Argument(help="The oldest release, compared with the others.", metavar="OLD")
    ],
    new: Annotated[str, typer.Argument(help="The newest release.", metavar="NEW")],
    model: Annotated[
        str | None, typer.Option(help="A folder, a GGUF file or an identifier.", metavar="M")
    ] = None,
    states: Annotated[
        int, typer.Option("--states", "--limit", help="States of the probe.", min=1, metavar="N")
    ] = 4,
    repeats: Repeats = 2,
    probe_name: Probe = "own",
    depth: Annotated[
        Literal["first", "every", "each"],
        typer.Option(help="The first change, every change, or each release measured."),
    ] = "first",
    alongside: With = None,
    *,
    pre: Annotated[bool, flag("--pre", text="Pre-releases too.")] = False,
    retry: Retry = False,
    output: Output,
) -> None:
    """Find the first release of a library that changed any stage, by binary search.

    Each release is installed in its own overlay on this environment. Records are kept: rerun the
    same command to resume. Exit status as for compare: 0, 3 or 4.
    """
    from benchmark.upgrades.bisection import bisect as bisect_releases
    from benchmark.upgrades.probes import probe
    from benchmark.upgrades.releases import between, releases
    from benchmark.upgrades.requirements import check_range, installed_distributions
    from benchmark.upgrades.text import bisection_lines
    from benchmark.upgrades.workbench import workbench

    in_range = between(releases(library, pre=pre), library, old, new)
    check_range(library, in_range, alongside or (), installed_distributions(sys.path))
    kind = "fingerprint" if probe_name == "own" else probe_name
    bench = workbench(probe(kind, model, states, repeats), output.say, retry=retry)
    result = bisect_releases(library, in_range, bench, depth, tuple(alongside or ()))
    if not output.as_json:
        print(*bisection_lines(result), sep="\n")
    output.result(result.as_json())
    raise typer.Exit(result.exit_status)

"""``bisect``: which release of a library changed a stage."""

from typing import Annotated, Literal

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.options import Repeats, Retry, flag, option, probe_states
from benchmark.cli.writing import Output

Library = Annotated[
    str, typer.Argument(help="The library's name on the package index.", metavar="LIBRARY")
]
Old = Annotated[
    str, typer.Argument(help="The oldest release, compared with the others.", metavar="OLD")
]
New = Annotated[str, typer.Argument(help="The newest release.", metavar="NEW")]
ProbeModel = Annotated[str | None, option("A folder, a GGUF file or an identifier.", metavar="M")]
ReleaseProbe = Literal["own", "vanilla", "tokenizers", "grammars", "vllm", "llama.cpp"]
Probe = Annotated[
    ReleaseProbe | None,
    option("As for fingerprint; default: own, or the engine of the library.", "--probe"),
]
Depth = Annotated[
    Literal["first", "every", "each"],
    option("The first change, every change, or each release measured."),
]
With = Annotated[
    list[str] | None, option("More libraries to install.", "--with", metavar="NAME==VERSION")
]


@output_options()
def bisect(
    library: Library,
    old: Old,
    new: New,
    model: ProbeModel = None,
    states: Annotated[int, probe_states("States of the probe.")] = 4,
    repeats: Repeats = 2,
    probe_name: Probe = None,
    depth: Depth = "first",
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
    from benchmark.decoding.engines import ENGINES, engine_of_library
    from benchmark.upgrades.base_environment import environment_of, this_environment
    from benchmark.upgrades.bisection import bisect as bisect_releases
    from benchmark.upgrades.probes import probe
    from benchmark.upgrades.releases import between, releases
    from benchmark.upgrades.requirements import check_range
    from benchmark.upgrades.text import bisection_lines
    from benchmark.upgrades.workbench import workbench

    in_range = between(releases(library, pre=pre), library, old, new)
    name = probe_name or engine_of_library(library) or "own"
    engine = name if name in ENGINES else None
    kind = "fingerprint" if engine or name == "own" else name
    chosen = probe(kind, model, states, repeats, engine)
    base = environment_of(engine) if engine else this_environment()
    relevant = {
        name: distribution
        for name, distribution in base.installed.items()
        if name not in chosen.unused
    }
    check_range(library, in_range, alongside or (), relevant)
    bench = workbench(chosen, output.say, retry=retry)
    result = bisect_releases(library, in_range, bench, depth, tuple(alongside or ()))
    if not output.as_json:
        print(*bisection_lines(result), sep="\n")
    output.result(result.as_json())
    raise typer.Exit(result.exit_status)

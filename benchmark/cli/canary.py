"""``canary``: upgrades tried in an environment of their own."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def canary(
    upgrades: Annotated[
        list[str], typer.Argument(help="name==version; a bare name takes its newest release.")
    ],
    model: Annotated[Path, typer.Option(help="The model of the fingerprint.", metavar="M")] = Path(
        "fixtures/models/track"
    ),
    states: Annotated[int, typer.Option(help="States of the fingerprint.", min=1)] = 16,
    plain: Annotated[
        list[Path] | None,
        typer.Option(help="Plain use of this folder as well.", metavar="DIR"),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write it as JSON here.", metavar="FILE")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write it as Markdown here.", metavar="FILE")
    ] = None,
    suite: Annotated[
        list[Path] | None,
        typer.Option(help="Run these tests against the snapshots too.", metavar="PATH"),
    ] = None,
    *,
    pre: Annotated[bool, typer.Option("--pre", help="Newest may be a pre-release.")] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try again what could not be installed or run.")
    ] = False,
) -> None:
    """Say what moves with these upgrades, and which of them, or which pair, does it.

    Exit status as of compare: 0, 3 or 4; 1 where only the suite fails.
    """
    from benchmark.pipeline.canary import canary as tried
    from benchmark.pipeline.canary import pinned
    from benchmark.pipeline.probes import probe, run_suite, workbench
    from benchmark.pipeline.sentinel import fetched_families
    from benchmark.regression.releases import releases
    from benchmark.report.canary import canary_lines, canary_markdown

    wanted = [pinned(each, lambda name: releases(name, pre=pre)) for each in upgrades]
    probes = [probe("fingerprint", str(model), states)]
    probes += [probe("sentinel", None, states)] * bool(fetched_families())
    probes += [probe("plain", str(folder), 1) for folder in plain or ()]
    benches = [workbench(each, _say, retry=retry) for each in probes]
    found = tried(wanted, benches, _say)
    if json_file:
        json_file.write_text(json.dumps(found.as_json(), indent=2) + "\n", encoding="utf-8")
    if report:
        report.write_text(canary_markdown(found), encoding="utf-8")
    for line in canary_lines(found):
        print(line)
    failed = run_suite(benches[0].maker, wanted, suite) if suite else 0
    raise typer.Exit(found.exit_status or failed)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

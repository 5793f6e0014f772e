"""``canary``: try upgrades in an environment of their own."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import JsonFile, Repeats, Retry, flag
from benchmark.cli.writing import check_writable, say, write_json, write_late


def canary(
    upgrades: Annotated[
        list[str], typer.Argument(help="name==version; a bare name means its newest release.")
    ],
    model: Annotated[Path, typer.Option(help="The model of the fingerprint.", metavar="M")] = Path(
        "fixtures/models/track"
    ),
    states: Annotated[int, typer.Option(help="States of the fingerprint.", min=1)] = 16,
    repeats: Repeats = 4,
    vanilla: Annotated[
        list[Path] | None,
        typer.Option(help="Also probe vanilla use of this folder.", metavar="DIR"),
    ] = None,
    json_file: JsonFile = None,
    report: Annotated[
        Path | None, typer.Option(help="Write it as Markdown here.", metavar="FILE")
    ] = None,
    suite: Annotated[
        list[Path] | None,
        typer.Option(help="Run these tests against the snapshots too.", metavar="PATH"),
    ] = None,
    *,
    pre: Annotated[bool, flag("--pre", text="Newest may be a pre-release.")] = False,
    retry: Retry = False,
) -> None:
    """Report what changes with these upgrades, and which of them, or which pair, is the cause.

    Exit status as for compare: 0, 3 or 4; 1 if only the suite fails.
    """
    from benchmark.errors import SettingError
    from benchmark.fingerprints.tokenizers import fetched_families
    from benchmark.upgrades.canary import canary as try_upgrades
    from benchmark.upgrades.canary import pinned
    from benchmark.upgrades.canary_text import canary_lines, canary_markdown
    from benchmark.upgrades.probes import probe
    from benchmark.upgrades.releases import releases
    from benchmark.upgrades.suite import run_suite
    from benchmark.upgrades.workbench import workbench

    check_writable(json_file, report)
    if missing := next((path for path in suite or () if not path.exists()), None):
        raise SettingError(f"--suite {missing}: no such file or folder")
    requirements = [pinned(upgrade, lambda name: releases(name, pre=pre)) for upgrade in upgrades]
    probes = [probe("fingerprint", str(model), states, repeats)]
    left_out = {}
    if fetched_families():
        probes.append(probe("tokenizers", None, states))
    else:
        left_out["tokenizers"] = "no tokenizer is fetched; run: python -m benchmark fetch --all"
    probes += [probe("vanilla", str(folder), 1) for folder in vanilla or ()]
    benches = [workbench(one, say, retry=retry) for one in probes]
    result = replace(try_upgrades(requirements, benches, say), left_out=left_out)
    if suite:  # before anything is written: its failures belong to the report
        result = replace(result, suite=run_suite(benches[0].builder, requirements, suite))
    for line in canary_lines(result):
        print(line)
    write_json(json_file, result.as_json())
    if report:
        write_late(report, [canary_markdown(result)])
    raise typer.Exit(result.exit_status)

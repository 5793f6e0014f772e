"""``compare``: what changed between two fingerprints."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import JsonFile, flag
from benchmark.cli.writing import check_writable, say, write_json


def compare(
    old: Annotated[Path, typer.Argument(help="The old record.")],
    new: Annotated[Path, typer.Argument(help="The new record, compared with it.")],
    json_file: JsonFile = None,
    junit_file: Annotated[
        Path | None, typer.Option("--junit", help="Write a JUnit case here.", metavar="FILE")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="With --isolate: the model of both.", metavar="M")
    ] = None,
    commit: Annotated[
        str | None,
        typer.Option(help="With --isolate: the commit of OLD's code; default: by its digests."),
    ] = None,
    repository: Annotated[
        Path | None,
        typer.Option(help="With --isolate: the project's git repository.", metavar="DIR"),
    ] = None,
    *,
    isolate: Annotated[
        bool, flag("--isolate", text="Run OLD's code here, to tell code from environment.")
    ] = False,
) -> None:
    """Report which stages changed between two fingerprints, how much, and the likely causes.

    With --isolate, in the environment that made NEW: whether code or environment is the cause.

    Exit status: 0 same or noise, 3 drift (no outcome by set changed), 4 regression (outcomes by
    set changed, or a stage fails now), 2 misuse.
    """
    from benchmark.errors import SettingError
    from benchmark.fingerprints.ci import junit, report_to_github
    from benchmark.fingerprints.compare import compare as compare_records
    from benchmark.fingerprints.storage import read_fingerprint
    from benchmark.fingerprints.terminal import comparison_report
    from benchmark.streams import workflow_command
    from benchmark.terminal import console
    from benchmark.upgrades.isolation import isolate as isolated
    from benchmark.writing import write_text

    if model is not None and not isolate:
        raise SettingError("--model is for --isolate, which runs OLD's code with it; give both")
    if (commit or repository) and not isolate:
        raise SettingError("--commit and --repository are for --isolate; give it too")
    if isolate and model is None:
        raise SettingError("--isolate runs OLD's code: name the model with --model")
    check_writable(json_file, junit_file)
    before, now = read_fingerprint(old), read_fingerprint(new)
    if before.kind != now.kind:
        raise SettingError(
            f"{old} is a {before.kind} record and {new} a {now.kind} record; compare two of a kind"
        )
    comparison = compare_records(before, now)
    isolation = isolated(old, new, model, say, commit, repository) if isolate and model else None
    name = f"{old.name} -> {new.name}"
    console().print(comparison_report(comparison))
    for line in isolation.lines() if isolation else ():
        print(line)
    if annotation := report_to_github(comparison, name):
        workflow_command(annotation)
    extra = {"isolation": isolation.as_json()} if isolation else {}
    write_json(json_file, {**comparison.as_json(), **extra})
    if junit_file:
        write_text(junit_file, [junit(comparison, name)])
    raise typer.Exit(comparison.exit_status)

"""``compare``: two fingerprints, and what moved between them."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import JsonFile, flag
from benchmark.cli.writing import check_outputs, say, write_json


def compare(
    old: Annotated[Path, typer.Argument(help="The record held against.")],
    new: Annotated[Path, typer.Argument(help="The record of now.")],
    json_file: JsonFile = None,
    junit_file: Annotated[
        Path | None, typer.Option("--junit", help="Write a JUnit case here.", metavar="FILE")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="With --isolate: what both were made with.", metavar="M")
    ] = None,
    commit: Annotated[
        str | None,
        typer.Option(help="With --isolate: of OLD's code; default: found by its digests."),
    ] = None,
    repository: Annotated[
        Path | None,
        typer.Option(help="With --isolate: where the project's git is.", metavar="DIR"),
    ] = None,
    *,
    isolate: Annotated[
        bool, flag("--isolate", text="Run OLD's code here, to tell code from environment.")
    ] = False,
) -> None:
    """Say what moved between two fingerprints, where it began, and what may have done it.

    With --isolate, in the environment that made NEW: whether the code or the environment did it.

    Exit status: 0 the same or noise, 3 drift (no outcome by set changed), 4 regression (outcomes
    by set changed, or a stage fails now), 2 misuse.
    """
    from rich.console import Console

    from benchmark.errors import SettingError
    from benchmark.fingerprints.ci import junit, on_github
    from benchmark.fingerprints.compare import compare as held_against
    from benchmark.fingerprints.storage import read_fingerprint
    from benchmark.fingerprints.terminal import shift_report
    from benchmark.upgrades.isolation import isolate as isolated

    if model is not None and not isolate:
        raise SettingError("--model is for --isolate, which runs OLD's code with it; give both")
    if (commit or repository) and not isolate:
        raise SettingError("--commit and --repository are for --isolate; give it too")
    if isolate and model is None:
        raise SettingError("--isolate runs OLD's code: name the model with --model")
    check_outputs(json_file, junit_file)
    before, now = read_fingerprint(old), read_fingerprint(new)
    if before.kind != now.kind:
        raise SettingError(
            f"{old} is of {before.kind} and {new} of {now.kind}; compare two of the same"
        )
    comparison = held_against(before, now)
    found = isolated(old, new, model, say, commit, repository) if isolate and model else None
    name = f"{old.name} -> {new.name}"
    Console().print(shift_report(comparison))
    for line in found.lines() if found else ():
        print(line)
    if annotation := on_github(comparison, name):
        print(annotation)
    write_json(
        json_file, {**comparison.as_json(), **({"isolation": found.as_json()} if found else {})}
    )
    if junit_file:
        junit_file.write_text(junit(comparison, name), encoding="utf-8")
    raise typer.Exit(comparison.exit_status)

"""``compare``: what changed between two fingerprints."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.options import flag
from benchmark.cli.writing import Output, check_writable

if TYPE_CHECKING:
    from benchmark.fingerprints.comparison import FingerprintDiff
    from benchmark.upgrades.isolation import Isolation

_ISOLATION = "With --isolate"
"""The panel of the options that only --isolate takes."""


@output_options()
def compare(
    old: Annotated[Path, typer.Argument(help="The old record.", metavar="OLD")],
    new: Annotated[Path, typer.Argument(help="The new record, compared with it.", metavar="NEW")],
    junit_file: Annotated[
        Path | None, typer.Option("--junit", help="Write a JUnit case here.", metavar="FILE")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="The model of both.", metavar="M", rich_help_panel=_ISOLATION),
    ] = None,
    commit: Annotated[
        str | None,
        typer.Option(
            help="The commit of OLD's code; default: by its digests.",
            metavar="HASH",
            rich_help_panel=_ISOLATION,
        ),
    ] = None,
    repository: Annotated[
        Path | None,
        typer.Option(
            help="The project's git repository.", metavar="DIR", rich_help_panel=_ISOLATION
        ),
    ] = None,
    *,
    isolate: Annotated[
        bool, flag("--isolate", text="Run OLD's code here, to tell code from environment.")
    ] = False,
    output: Output,
) -> None:
    """Report which stages changed between two fingerprints, how much, and the likely causes.

    With --isolate, in the environment that made NEW: whether code or environment is the cause.

    Exit status: 0 same or noise, 3 drift (no outcome by set changed), 4 regression (outcomes by
    set changed, or a stage fails now), 2 misuse.
    """
    from benchmark.fingerprints.ci import junit, report_to_github
    from benchmark.upgrades.isolation import isolate as isolated
    from benchmark.writing import write_text

    _check_options(model, commit, repository, isolate=isolate)
    check_writable(junit_file)
    comparison, name = _compared(old, new), f"{old.name} -> {new.name}"
    isolation = (
        isolated(old, new, model, output.say, commit, repository) if isolate and model else None
    )
    extra = {"isolation": isolation.as_json()} if isolation else {}
    annotation = report_to_github(comparison, name)
    if not output.as_json:
        _show(comparison, isolation, annotation)
    output.result({**comparison.as_json(), **extra})
    if junit_file:
        write_text(junit_file, [junit(comparison, name)])
    raise typer.Exit(comparison.exit_status)


def _check_options(
    model: str | None, commit: str | None, repository: Path | None, *, isolate: bool
) -> None:
    from benchmark.errors import SettingError

    if model is not None and not isolate:
        raise SettingError("--model is for --isolate, which runs OLD's code with it; give both")
    if (commit or repository) and not isolate:
        raise SettingError("--commit and --repository are for --isolate; give it too")
    if isolate and model is None:
        raise SettingError("--isolate runs OLD's code: name the model with --model")


def _compared(old: Path, new: Path) -> "FingerprintDiff":
    from benchmark.errors import SettingError
    from benchmark.fingerprints.compare import compare as compare_records
    from benchmark.fingerprints.storage import read_fingerprint

    before, now = read_fingerprint(old), read_fingerprint(new)
    if before.kind != now.kind:
        raise SettingError(
            f"{old} is a {before.kind} record and {new} a {now.kind} record; compare two of a kind"
        )
    return compare_records(before, now)


def _show(
    comparison: "FingerprintDiff", isolation: "Isolation | None", annotation: str | None
) -> None:
    """Print the comparison and the cause; on GitHub also the annotation."""
    from benchmark.fingerprints.terminal import comparison_report
    from benchmark.streams import workflow_command
    from benchmark.terminal import console

    console().print(comparison_report(comparison))
    for line in isolation.lines() if isolation else ():
        print(line)
    if annotation:
        workflow_command(annotation)

"""``compare``: what changed between two fingerprints."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.options import flag, option
from benchmark.cli.writing import Output, check_writable

if TYPE_CHECKING:
    from benchmark.fingerprints.comparison import FingerprintDiff
    from benchmark.upgrades.isolation import Isolation

_ISOLATION = "With --isolate"
"""The panel of the options that only --isolate takes."""

OldRecord = Annotated[Path, typer.Argument(help="The old record.", metavar="OLD")]
NewRecord = Annotated[Path, typer.Argument(help="The new record, compared with it.", metavar="NEW")]
JunitFile = Annotated[Path | None, option("Write a JUnit case here.", "--junit", metavar="FILE")]
Isolate = Annotated[
    bool, flag("--isolate", text="Run OLD's code here, to tell code from environment.")
]
IsolatedModel = Annotated[str | None, option("The model of both.", metavar="M", panel=_ISOLATION)]
Commit = Annotated[
    str | None,
    option("The commit of OLD's code; default: by its digests.", metavar="HASH", panel=_ISOLATION),
]
Repository = Annotated[
    Path | None, option("The project's git repository.", metavar="DIR", panel=_ISOLATION)
]


@output_options()
def compare(
    old: OldRecord,
    new: NewRecord,
    junit_file: JunitFile = None,
    model: IsolatedModel = None,
    commit: Commit = None,
    repository: Repository = None,
    *,
    isolate: Isolate = False,
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

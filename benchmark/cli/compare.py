"""``compare``: what changed between two fingerprints."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.detect import Margin, margin_share
from benchmark.cli.history_entries import HistoryFile, check_history, comparison_entry, keep
from benchmark.cli.options import flag, option
from benchmark.cli.writing import Output, check_writable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.fingerprints.comparison import FingerprintDiff
    from benchmark.upgrades.isolation import Isolation

_ISOLATION = "With --isolate"
"""The panel of the options that only --isolate takes."""

OldRecord = Annotated[
    Path, typer.Argument(help="The old record, or a folder of them.", metavar="OLD")
]
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
    margin: Margin = None,
    model: IsolatedModel = None,
    commit: Commit = None,
    repository: Repository = None,
    history: HistoryFile = None,
    *,
    isolate: Isolate = False,
    output: Output,
) -> None:
    """Report which stages changed between two fingerprints, how much, and the likely causes.

    Two folders with records of the same names, one per model: one decision on the upgrade, and
    which models changed.

    Says whether the accuracies are equal within --margin (1 point), or whether that is undecided.

    With --isolate, in the environment that made NEW: whether code or environment is the cause.

    Exit status, whether the accuracies are equal or not: 0 same or noise, 3 drift (no outcome by
    set changed), 4 regression (outcomes by set changed, or a stage fails now), 2 misuse.
    """
    from benchmark.upgrades.isolation import isolate as isolated

    _check_options(model, commit, repository, isolate=isolate)
    check_writable(junit_file)
    check_history(history)
    if old.is_dir() and new.is_dir():
        _compare_folders(old, new, margin, junit_file, history, output, isolate=isolate)
    comparison, name = _compared(old, new, margin), f"{old.name} -> {new.name}"
    isolation = (
        isolated(old, new, model, output.say, commit, repository) if isolate and model else None
    )
    if not output.as_json:
        _show(comparison, isolation)
    _publish({name: comparison}, junit_file, output)
    extra = {"isolation": isolation.as_json()} if isolation else {}
    kept = keep(history, comparison_entry({name: comparison}, comparison.exit_status), output)
    output.result({**comparison.as_json(), **extra, **kept})
    raise typer.Exit(comparison.exit_status)


def _compare_folders(
    old: Path,
    new: Path,
    margin: float | None,
    junit_file: Path | None,
    history: Path | None,
    output: Output,
    *,
    isolate: bool,
) -> NoReturn:
    """Compare the records of two folders, one per model, and decide on all of them together."""
    from benchmark.errors import SettingError
    from benchmark.stats.constants import SAME_MARGIN
    from benchmark.upgrades.joint import compare_folders, upgrade_lines

    if isolate:
        raise SettingError("--isolate compares two records; name one of each folder")
    upgrade = compare_folders(old, new, margin_share(margin, SAME_MARGIN))
    if not output.as_json:
        for line in upgrade_lines(upgrade):
            print(line)
    _publish(upgrade.comparisons, junit_file, output)
    kept = keep(history, comparison_entry(upgrade.comparisons, upgrade.exit_status), output)
    output.result({**upgrade.as_json(), **kept})
    raise typer.Exit(upgrade.exit_status)


def _publish(
    comparisons: "Mapping[str, FingerprintDiff]", junit_file: Path | None, output: Output
) -> None:
    """Report the comparisons to GitHub, and write the JUnit file."""
    from benchmark.fingerprints.ci import junit, report_to_github
    from benchmark.streams import workflow_command
    from benchmark.writing import write_text

    for name, comparison in comparisons.items():
        annotation = report_to_github(comparison, name)
        if annotation and not output.as_json:
            workflow_command(annotation)
    if junit_file:
        write_text(junit_file, [junit(comparisons)])


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


def _compared(old: Path, new: Path, margin: float | None) -> "FingerprintDiff":
    from benchmark.errors import SettingError
    from benchmark.fingerprints.compare import compare as compare_records
    from benchmark.fingerprints.storage import read_fingerprint
    from benchmark.stats.constants import SAME_MARGIN

    before, now = read_fingerprint(old), read_fingerprint(new)
    if before.kind != now.kind:
        raise SettingError(
            f"{old} is a {before.kind} record and {new} a {now.kind} record; compare two of a kind"
        )
    return compare_records(before, now, margin_share(margin, SAME_MARGIN))


def _show(comparison: "FingerprintDiff", isolation: "Isolation | None") -> None:
    """Print the comparison and the cause."""
    from benchmark.fingerprints.terminal import comparison_report
    from benchmark.terminal import console

    console().print(comparison_report(comparison))
    for line in isolation.lines() if isolation else ():
        print(line)

"""``canary``: try upgrades in an environment of their own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.history_entries import HistoryFile, alarms_of, canary_entry, check_history, keep
from benchmark.cli.options import Repeats, Retry, flag, option, probe_states
from benchmark.cli.renamed import check_json_file
from benchmark.cli.writing import Output, check_writable, write_late

if TYPE_CHECKING:
    from benchmark.upgrades.probes import Probe

Upgrades = Annotated[
    list[str],
    typer.Argument(help="A bare name means its newest release.", metavar="NAME==VERSION"),
]
FingerprintModel = Annotated[Path, option("The model of the fingerprint.", metavar="M")]
Vanilla = Annotated[
    list[Path] | None, option("Also probe vanilla use of this folder.", metavar="DIR")
]
ReportFile = Annotated[Path | None, option("Write it as Markdown here.", metavar="FILE")]
Suite = Annotated[
    list[Path] | None, option("Run these tests against the snapshots too.", metavar="PATH")
]

_MODEL = Path("fixtures/models/track")
"""A model of the repository, where most canaries run."""

_NO_TOKENIZER = "no tokenizer is fetched; run: python -m benchmark fetch --all"


@output_options()
def canary(
    upgrades: Upgrades,
    model: FingerprintModel = _MODEL,
    states: Annotated[int, probe_states("States of the fingerprint.")] = 16,
    repeats: Repeats = 4,
    vanilla: Vanilla = None,
    report: ReportFile = None,
    suite: Suite = None,
    history: HistoryFile = None,
    *,
    pre: Annotated[bool, flag("--pre", text="Newest may be a pre-release.")] = False,
    retry: Retry = False,
    output: Output,
) -> None:
    """Report what changes with these upgrades, and which of them, or which pair, is the cause.

    Exit status as for compare: 0, 3 or 4; 1 if only the suite fails.
    """
    from benchmark.fingerprints.tokenizers import fetched_families
    from benchmark.upgrades.canary import by_engine, merged, pinned
    from benchmark.upgrades.canary import canary as try_upgrades
    from benchmark.upgrades.releases import releases
    from benchmark.upgrades.suite import run_suite
    from benchmark.upgrades.text import canary_lines, canary_markdown
    from benchmark.upgrades.workbench import workbench

    _check(upgrades, model, report, suite or ())
    check_history(history)
    requirements = [pinned(upgrade, lambda name: releases(name, pre=pre)) for upgrade in upgrades]
    families = fetched_families()
    results, suites = [], []
    for engine, upgraded in by_engine(requirements).items():
        probes = _probes(model, states, repeats, vanilla or (), engine, tokenizers=bool(families))
        benches = [workbench(one, output.say, retry=retry) for one in probes]
        left_out = {} if families or engine else {"tokenizers": _NO_TOKENIZER}
        results.append(replace(try_upgrades(upgraded, benches, output.say), left_out=left_out))
        suites.append((benches[0].builder, upgraded))
    result = merged(results)
    if suite:  # before anything is written: its failures belong to the report
        result = replace(result, suite=run_suite(*suites[0], suite))
    if not output.as_json:
        print(*canary_lines(result), sep="\n")
    watch = f"{model.name}, {states} states, {'pre-releases' if pre else 'releases'} of"
    kept = keep(history, canary_entry(result, watch), output)
    output.result({**result.as_json(), **kept})
    if report:
        write_late(report, [canary_markdown(result, alarms_of(history) if kept else ())])
    raise typer.Exit(result.exit_status)


def _probes(
    model: Path,
    states: int,
    repeats: int,
    vanilla: Sequence[Path],
    engine: str | None,
    *,
    tokenizers: bool,
) -> "list[Probe]":
    from benchmark.upgrades.probes import probe

    if engine:  # whose libraries reach nothing in this process
        return [probe("fingerprint", str(model), states, repeats, engine)]
    return [
        probe("fingerprint", str(model), states, repeats),
        *([probe("tokenizers", None, states)] if tokenizers else []),
        *(probe("vanilla", str(folder), 1) for folder in vanilla),
    ]


def _check(
    upgrades: Sequence[str], model: Path, report: Path | None, suite: Sequence[Path]
) -> None:
    from benchmark.errors import SettingError

    check_json_file(upgrades)
    check_writable(report)
    if model == _MODEL and not model.exists():
        raise SettingError(f"no {model} here, the default; name a model: --model FOLDER")
    if missing := next((path for path in suite if not path.exists()), None):
        raise SettingError(f"--suite {missing}: no such file or folder")

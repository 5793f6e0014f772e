"""A canary's finding, as text for a terminal and as Markdown for an issue."""

from collections.abc import Iterator, Mapping

from benchmark.upgrades.findings import (
    Canary,
    SuiteResult,
    Trial,
    chances,
    environment_differences,
)

_SHOWN = 8
"""So many differences of the environments are shown; ``--json`` has all."""


def canary_lines(found: Canary) -> Iterator[str]:
    """A line a probe, with culprits and environments' differences under those that moved.

    Then what was left out, and the suite with a line a failed test.
    """
    yield f"upgrades: {', '.join(found.upgrades)}"
    for trial in found.trials:
        yield from _trial_lines(trial, found.refused)
    for name, why in found.left_out.items():
        yield f"{name}: left out: {why}"
    if found.suite:
        yield from _suite_lines(found.suite)


def canary_markdown(found: Canary) -> str:
    """The body of an issue."""
    lines = "\n".join(canary_lines(found))
    return (
        "The nightly canary found that these upgrades move what is measured, that tests fail "
        "with them, or that something does not run.\n\n"
        f"```\n{lines}\n```\n\n"
        "`compare` and `bisect` (README, *Finding the cause*) tell more. This issue is updated "
        "every night until nothing moves.\n"
    )


def _trial_lines(trial: Trial, refused: Mapping[str, str]) -> Iterator[str]:
    yield ", ".join(
        part for part in (f"{trial.probe}: {trial.severity.value}", _what(trial)) if part
    )
    for culprits in trial.culprits:
        by = f"  by {' with '.join(culprits)}"
        # Where all of them together are meant, the line above has the reason.
        why = refused.get(" ".join(culprits)) if trial.comparison is None else None
        yield f"{by}: {why}" if why and why != trial.reason else by
    for upgrade in trial.movers:
        alone = "runs, and moves it" if trial.comparison is None else "moves a later stage"
        yield f"  {upgrade} alone {alone}"
    if trial.comparison is None or not trial.moved:
        return
    differences = list(environment_differences(trial.comparison).items())
    for name, (old, new) in differences[:_SHOWN]:
        yield f"  {name}: {old or '-'} -> {new or '-'}"


def _suite_lines(suite: SuiteResult) -> Iterator[str]:
    yield f"suite: {suite.passed} passed, {len(suite.failed)} failed"
    if suite.ended:
        yield f"  {suite.ended}"
    for name, why in suite.failed:
        yield f"  failed: {name}: {why}"


def _what(trial: Trial) -> str | None:
    if trial.difference is None:
        return trial.reason
    if trial.difference.by_chance:
        return f"by chance only, {chances(trial.difference)}"
    return trial.difference.extent if trial.moved else None

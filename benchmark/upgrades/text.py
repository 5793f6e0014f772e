"""The results of `bisect` and `canary` as text for a terminal, and of `canary` for an issue."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from benchmark.upgrades.environment_diff import (
    ChangeKind,
    environment_differences,
    later_stages,
    significance_text,
)
from benchmark.upgrades.findings import (
    BisectionResult,
    CanaryResult,
    ProbeResult,
    ReleaseChange,
    SuiteResult,
    by_reason,
)

_SHOWN = 8
"""The number of environment differences that are shown; ``--json`` has all of them."""

_HEADS = {
    ChangeKind.CHANGED: ("changed", "last unchanged"),
    ChangeKind.FAILS: ("broken", "last working"),
    ChangeKind.WORKS: ("fixed", "last failing"),
}
"""How a change and the release before it are described, by its kind."""


def bisection_lines(result: BisectionResult) -> Iterator[str]:
    """Yield each change with its release, stages and environment differences."""
    yield (
        f"{result.library} {result.ends[0]} to {result.ends[1]}: {len(result.releases)} releases, "
        f"{len(result.measured)} measured, {len(result.skipped)} skipped"
    )
    for reason, releases in by_reason(result.skipped).items():
        yield f"skipped {', '.join(releases)}: {reason}"
    if not result.changes:
        yield (
            f"no change from {result.ends[0]} to {result.ends[1]} "
            "(--depth each finds changes that were reverted)"
        )
    for change in result.changes:
        yield from _change_lines(change)
    if result.rest is not None:
        more = f"{result.ends[1]} has further changes: {result.rest.extent}"
        yield f"{more} (--depth every finds their releases)"
    for pair in result.insignificant:
        test = significance_text(pair.difference)
        yield f"{pair.before} and {pair.after}: no significant difference ({test})"
        yield from _nondeterminism_lines(pair)


def _nondeterminism_lines(change: ReleaseChange) -> Iterator[str]:
    for release, stages in change.difference.nondeterministic.items():
        yield f"  {release} is not deterministic: {' and '.join(stages)} differs between processes"


def _change_lines(change: ReleaseChange) -> Iterator[str]:
    difference = change.difference
    first, last = _HEADS[difference.kind or ChangeKind.CHANGED]
    if change.unmeasured:
        yield (
            f"{first} after {change.library} {change.before} and not later than {change.after}; "
            f"not measured in between: {', '.join(change.unmeasured)}"
        )
    else:
        yield f"first {first} by {change.library} {change.after}; {last} release: {change.before}"
    yield f"  first changed stage: {difference.extent}"
    for extent in later_stages(difference):
        yield f"  also changed: {extent}"
    yield from _nondeterminism_lines(change)
    if difference.p:
        yield f"  significant: {significance_text(difference)}"
    differences = environment_differences(change.comparison)
    if not differences:
        yield "  the environments differ in no recorded library"
    yield from _first_differences(differences)
    if len(differences) > _SHOWN:
        yield f"  and {len(differences) - _SHOWN} more"


def _first_differences(differences: Mapping[str, tuple[str | None, str | None]]) -> Iterator[str]:
    for name, (old, new) in islice(differences.items(), _SHOWN):
        yield f"  {name}: {old or '-'} -> {new or '-'}"


def canary_lines(result: CanaryResult) -> Iterator[str]:
    """Yield a line per probe, with causes and environment differences below those that changed.

    Probes that were left out follow, then the suite with a line per failed test.
    """
    yield f"upgrades: {', '.join(result.upgrades)}"
    for probe in result.probes:
        yield from _probe_lines(probe, result.refused)
    for name, reason in result.left_out.items():
        yield f"{name}: left out: {reason}"
    if result.suite:
        yield from _suite_lines(result.suite)


def canary_markdown(result: CanaryResult, alarms: Sequence[str] = ()) -> str:
    """Return the body of an issue.

    Args:
        result: the last result.
        alarms: a line per alarm of the history, which may be about earlier nights or a drift.
    """
    lines = "\n".join(canary_lines(result))
    history = "\n".join(["", "Alarms:", "", "```", *alarms, "```", ""]) if alarms else ""
    return f"{_introduction(result)}\n\n```\n{lines}\n```\n{history}{_closing(result)}"


def _introduction(result: CanaryResult) -> str:
    """Return a sentence that names the effects of the upgrades, if there are any."""
    effects = {
        "change a recorded stage": any(probe.changed for probe in result.probes),
        "prevent a probe from running": any(probe.difference is None for probe in result.probes),
        "fail tests": result.suite is not None and bool(result.suite.exit_status),
    }
    observed = [effect for effect, holds in effects.items() if holds]
    if not observed:
        return "The canary found no change with these upgrades."
    return f"The canary found that these upgrades {' and '.join(observed)}."


def _closing(result: CanaryResult) -> str:
    if not result.exit_status:
        return ""
    return (
        "\nFor details run `compare` and `bisect` (see the README). The nightly workflow updates "
        "this issue until nothing changes.\n"
    )


def _probe_lines(probe: ProbeResult, refused: Mapping[str, str]) -> Iterator[str]:
    detail = _detail(probe)
    yield f"{probe.probe}: {probe.severity.value}{', ' if detail else ''}{detail}"
    for upgrades in probe.causes:
        cause = f"  cause: {' with '.join(upgrades)}"
        # If the cause is all upgrades together, the line above already has the reason.
        reason = refused.get(" ".join(upgrades)) if probe.comparison is None else None
        yield f"{cause}: {reason}" if reason and reason != probe.reason else cause
    for upgrade in probe.also_changing:
        effect = "runs and changes a stage" if probe.comparison is None else "changes a later stage"
        yield f"  {upgrade} alone {effect}"
    if probe.comparison is not None and probe.changed:
        yield from _first_differences(environment_differences(probe.comparison))


def _suite_lines(suite: SuiteResult) -> Iterator[str]:
    yield f"suite: {suite.passed} passed, {len(suite.failed)} failed"
    if suite.ended:
        yield f"  {suite.ended}"
    for name, reason in suite.failed:
        yield f"  failed: {name}: {reason}"


def _detail(probe: ProbeResult) -> str:
    if probe.difference is None:
        return probe.reason or ""
    if probe.difference.insignificant:
        return f"no significant difference ({significance_text(probe.difference)})"
    return probe.difference.extent if probe.changed else ""

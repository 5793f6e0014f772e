"""The result of `canary` as text for a terminal and as Markdown for an issue."""

from collections.abc import Iterator, Mapping

from benchmark.upgrades.environment_diff import environment_differences, significance_text
from benchmark.upgrades.findings import CanaryResult, ProbeResult, SuiteResult

_SHOWN = 8
"""The number of environment differences that are shown; ``--json`` has all of them."""


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


def canary_markdown(result: CanaryResult) -> str:
    """Return the body of an issue."""
    lines = "\n".join(canary_lines(result))
    return f"{_introduction(result)}\n\n```\n{lines}\n```\n{_closing(result)}"


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
    if probe.comparison is None or not probe.changed:
        return
    differences = list(environment_differences(probe.comparison).items())
    for name, (old, new) in differences[:_SHOWN]:
        yield f"  {name}: {old or '-'} -> {new or '-'}"


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

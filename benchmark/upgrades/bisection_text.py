"""The result of `bisect` on the terminal."""

from collections.abc import Iterator

from benchmark.upgrades.environment_diff import (
    ChangeKind,
    environment_differences,
    later_stages,
    significance_text,
)
from benchmark.upgrades.findings import BisectionResult, ReleaseChange, by_reason

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
    differences = list(environment_differences(change.comparison).items())
    if not differences:
        yield "  the environments differ in no recorded library"
    for name, (old, new) in differences[:_SHOWN]:
        yield f"  {name}: {old or '-'} -> {new or '-'}"
    if len(differences) > _SHOWN:
        yield f"  and {len(differences) - _SHOWN} more"

"""The result of `bisect` on the terminal."""

from collections.abc import Iterator

from benchmark.upgrades.findings import (
    BisectionResult,
    ReleaseChange,
    environment_differences,
    later_stages,
    significance_text,
)

_SHOWN = 8
"""The number of environment differences that are shown; ``--json`` has all of them."""


def bisection_lines(result: BisectionResult) -> Iterator[str]:
    """Yield each change with its release, stages and environment differences."""
    yield (
        f"{result.library} {result.ends[0]} to {result.ends[1]}: {len(result.releases)} releases, "
        f"{len(result.measured)} measured, {len(result.skipped)} skipped"
    )
    if not result.changes:
        yield "no change between the ends (--depth each finds changes that were reverted)"
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
    if change.unmeasured:
        yield (
            f"changed after {change.library} {change.before} and not later than {change.after}; "
            f"not measured in between: {', '.join(change.unmeasured)}"
        )
    else:
        yield (
            f"first changed by {change.library} {change.after}; "
            f"last unchanged release: {change.before}"
        )
    difference = change.difference
    yield f"  first changed stage: {difference.extent}"
    for stage, extent in later_stages(difference).items():
        yield f"  also changed: {stage}, {extent}"
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

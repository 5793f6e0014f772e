"""What a search for the culprit found, on the terminal."""

from collections.abc import Iterator

from benchmark.upgrades.findings import (
    Bisection,
    Step,
    chances,
    environment_differences,
    later,
)

_SHOWN = 8
"""So many differences of the environments are shown; ``--json`` has all."""


def bisection_lines(found: Bisection) -> Iterator[str]:
    """The answer: release, stage, size of the shift, and the environments' difference."""
    yield (
        f"{found.library} {found.ends[0]} to {found.ends[1]}: {len(found.releases)} releases, "
        f"{len(found.measured)} measured, {len(found.skipped)} skipped"
    )
    if not found.steps:
        yield "nothing moved between the ends (--depth each would see what came and went)"
    for step in found.steps:
        yield from _step_lines(step)
    if found.rest is not None:
        more = f"since then {found.ends[1]} moved more: {found.rest.extent}"
        yield f"{more} (--depth every finds where)"
    for step in found.chances:
        yield f"{step.before} and {step.after} differ by chance only: {chances(step.difference)}"
        yield from _unsteady_lines(step)


def _unsteady_lines(step: Step) -> Iterator[str]:
    for release, stages in step.difference.unsteady.items():
        yield f"  {release} alone gives another {' and '.join(stages)} in another process"


def _step_lines(step: Step) -> Iterator[str]:
    if step.unknown:
        yield (
            f"moved after {step.before} and by {step.after}; {', '.join(step.unknown)} between "
            "them could not be measured"
        )
    else:
        yield f"first moved by {step.library} {step.after}; {step.before} is the last before"
    found = step.difference
    yield f"  stage: {found.extent}"
    for stage, extent in later(found).items():
        yield f"  then: {stage}, {extent}"
    yield from _unsteady_lines(step)
    if found.p:
        yield f"  that is no chance: {chances(found)}"
    differences = list(environment_differences(step.comparison).items())
    if not differences:
        yield "  the environments differ in no library that is recorded"
    for name, (old, new) in differences[:_SHOWN]:
        yield f"  {name}: {old or '-'} -> {new or '-'}"
    if len(differences) > _SHOWN:
        yield f"  and {len(differences) - _SHOWN} more"

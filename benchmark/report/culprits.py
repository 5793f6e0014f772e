"""What a search for the culprit found, on the terminal."""

from collections.abc import Iterator

from benchmark.regression.culprits import Bisection, Step, environment_differences, size

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
        yield (
            f"since then {found.ends[1]} moved more: {size(found.rest)} (--depth every finds where)"
        )


def _step_lines(step: Step) -> Iterator[str]:
    if step.unknown:
        yield (
            f"moved after {step.before} and by {step.after}; {', '.join(step.unknown)} between "
            "them could not be measured"
        )
    else:
        yield f"first moved by {step.library} {step.after}; {step.before} is the last before"
    yield f"  stage: {size(step.comparison)}"
    for release, stages in step.unsteady.items():
        yield f"  {release} alone gives another {' and '.join(stages)} in a second process"
    if step.chance:
        yield f"  so this move, of the {step.comparison.stage}, may be chance"
    differences = list(environment_differences(step.comparison).items())
    if not differences:
        yield "  the environments differ in no library that is recorded"
    for name, (old, new) in differences[:_SHOWN]:
        yield f"  {name}: {old or '-'} -> {new or '-'}"
    if len(differences) > _SHOWN:
        yield f"  and {len(differences) - _SHOWN} more"

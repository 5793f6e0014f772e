"""Check that installed distributions satisfy the requirements they declare for each other.

pip installs a release into an overlay even if a distribution of the base environment declares that
it needs another one (it only prints a warning). Such an environment fails on import, or runs in a
combination that no user can install.
"""

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, distributions

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

Installed = Mapping[str, Distribution]
"""Distributions by their canonical name."""


def installed_distributions(folders: Iterable[str]) -> dict[str, Distribution]:
    """Return the distributions in folders; of several with one name, that of the first folder."""
    installed = dict[str, Distribution]()
    for distribution in distributions(path=list(folders)):
        if name := distribution.metadata["Name"]:
            installed.setdefault(canonicalize_name(name), distribution)
    return installed


def unmet_requirements(installed: Installed, roots: Iterable[str]) -> tuple[str, ...]:
    """Return a line per declared requirement that is not met.

    Args:
        installed: what is installed, by canonical name.
        roots: the distributions whose requirements are checked, and those that they require in
            turn; others in the same environment do not matter.
    """
    pending = [canonicalize_name(root) for root in roots]
    seen, lines = set[str](), set[str]()
    while pending:
        name = pending.pop()
        if name in seen or name not in installed:
            continue
        seen.add(name)
        for requirement in _requirements(installed[name]):
            pending.append(canonicalize_name(requirement.name))
            if line := _unmet(installed[name], requirement, installed):
                lines.add(line)
    return tuple(sorted(lines))


def _requirements(distribution: Distribution) -> Iterator[Requirement]:
    """Yield the requirements of a distribution on this machine, without those of extras."""
    for text in distribution.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:  # old metadata that pip does not read either
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement


def _unmet(
    distribution: Distribution, requirement: Requirement, installed: Installed
) -> str | None:
    required = f"{requirement.name}{requirement.specifier}"
    line = f"{distribution.metadata['Name']} {distribution.version} requires {required}"
    present = installed.get(canonicalize_name(requirement.name))
    if present is None:
        return f"{line}, which is not installed"
    if requirement.specifier.contains(present.version, prereleases=True):
        return None
    return f"{line}, but {present.version} is installed"

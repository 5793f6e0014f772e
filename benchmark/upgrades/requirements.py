"""Check that installed distributions satisfy the requirements they declare for each other.

pip installs a release into an overlay even if a distribution of the base environment declares that
it needs another one (it only prints a warning). Such an environment fails on import, or runs in a
combination that no user can install.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import Distribution, distributions
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from benchmark.errors import SettingError
from benchmark.runs.environment import libraries

_COMPARABLE = 2
"""The number of releases that a comparison takes."""

Installed = Mapping[str, Distribution]
"""Distributions by their canonical name."""


class UnmetRequirement(NamedTuple):
    """A declared requirement that is not met: whose it is, and a line about it."""

    owner: str
    requirement: Requirement
    line: str

    @property
    def key(self) -> tuple[str, str]:
        """The canonical names of the two distributions."""
        return canonicalize_name(self.owner), canonicalize_name(self.requirement.name)


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
    return tuple(sorted({one.line for one in unmet_lines(installed, roots)}))


def unmet_lines(installed: Installed, roots: Iterable[str]) -> Iterator[UnmetRequirement]:
    """Yield the declared requirements that are not met, as :func:`unmet_requirements`."""
    for owner, required in _reachable(installed, roots):
        if line := _unmet(owner, required, installed):
            yield UnmetRequirement(owner.metadata["Name"], required, line)


def check_range(
    library: str, releases: Sequence[str], alongside: Sequence[str], installed: Installed
) -> None:
    """Check that declared requirements do not exclude all but one release of a library.

    A distribution that is installed in another release itself, or whose requirement is not met now,
    excludes nothing.

    Args:
        library: the library whose releases are compared.
        releases: its releases.
        alongside: requirements that are installed with each release.
        installed: what is installed now, by canonical name.

    Raises:
        SettingError: naming the distribution that excludes them, and what to do.
    """
    name = canonicalize_name(library)
    replaced = {canonicalize_name(Requirement(one).name) for one in alongside} | {name}
    for distribution, requirement in _reachable(installed, libraries()):
        other = distribution.metadata["Name"]
        if canonicalize_name(requirement.name) != name or canonicalize_name(other) in replaced:
            continue
        if _unmet(distribution, requirement, installed):
            continue
        fitting = [*requirement.specifier.filter(releases, prereleases=True)]
        if len(fitting) < _COMPARABLE:
            raise SettingError(
                f"{other} {distribution.version} requires {requirement.name}"
                f"{requirement.specifier}, which {len(fitting)} of these {len(releases)} releases "
                f"meet; bisect {other} instead, or name a release of it with "
                f"--with {other}==VERSION"
            )


def _reachable(
    installed: Installed, roots: Iterable[str]
) -> Iterator[tuple[Distribution, Requirement]]:
    """Yield each requirement of the roots and of what they require in turn, with its owner."""
    pending, seen = [canonicalize_name(root) for root in roots], set[str]()
    while pending:
        name = pending.pop()
        if name in seen or name not in installed:
            continue
        seen.add(name)
        for requirement in _requirements(installed[name]):
            pending.append(canonicalize_name(requirement.name))
            yield installed[name], requirement


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

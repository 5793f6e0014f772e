"""Releases of the index, as pip lists them."""

import pytest

from benchmark.errors import SettingError
from benchmark.upgrades.releases import between, releases

SAID = """outlines (1.3.0)
Available versions: 1.3.0, 1.10.0, 1.2.10, 1.2.9+cpu, 1.2.9, 1.2.0rc1
  INSTALLED: 1.3.0
"""


def _listed() -> tuple[str, ...]:
    return releases("outlines", listed=lambda name, pre: SAID)


def test_releases_are_sorted_by_version() -> None:
    """They are not sorted as text; a local version counts as its release."""
    assert _listed() == ("1.2.0rc1", "1.2.9", "1.2.10", "1.3.0", "1.10.0")


def test_index_gets_the_canonical_name() -> None:
    """Pre-releases are requested on demand."""
    requests = list[tuple[str, bool]]()

    def listed(name: str, pre: bool) -> str:  # noqa: FBT001
        requests.append((name, pre))
        return SAID

    releases("Outlines_Core", pre=True, listed=listed)
    assert requests == [("outlines-core", True)]


def test_between_includes_both_ends() -> None:
    """An end that is not listed is kept: a yanked release may still be installable."""
    assert between(_listed(), "outlines", "1.2.10", "1.3.0") == ("1.2.10", "1.3.0")
    assert between(_listed(), "outlines", "1.2.11", "1.9") == ("1.2.11", "1.3.0", "1.9")


@pytest.mark.parametrize(
    ("old", "new", "said"), [("1.3", "1.3", "twice"), ("2", "1", "swap"), ("x", "1", "version")]
)
def test_ends_are_checked(old: str, new: str, said: str) -> None:
    """The ends are two versions, the older one first."""
    with pytest.raises(SettingError, match=said):
        between(_listed(), "outlines", old, new)


@pytest.mark.parametrize("name", ["--index-url", "a b", ""])
def test_names_are_checked(name: str) -> None:
    """An invalid name never reaches pip."""
    with pytest.raises(SettingError, match="not a library's name"):
        releases(name, listed=lambda name, pre: SAID)


def test_index_without_releases() -> None:
    """The error says that the library has no releases."""
    with pytest.raises(SettingError, match="no releases"):
        releases("outlines", listed=lambda name, pre: "outlines\n")

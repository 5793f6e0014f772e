"""Releases of the index, from what pip says of it."""

import pytest

from benchmark.errors import SettingError
from benchmark.upgrades.releases import between, releases

SAID = """outlines (1.3.0)
Available versions: 1.3.0, 1.10.0, 1.2.10, 1.2.9+cpu, 1.2.9, 1.2.0rc1
  INSTALLED: 1.3.0
"""


def _known() -> tuple[str, ...]:
    return releases("outlines", listed=lambda name, pre: SAID)


def test_releases_are_in_the_order_of_versions() -> None:
    """Not in that of letters; a build is its release."""
    assert _known() == ("1.2.0rc1", "1.2.9", "1.2.10", "1.3.0", "1.10.0")


def test_the_index_is_asked_for_the_canonical_name() -> None:
    """With or without pre-releases, as wanted."""
    asked = list[tuple[str, bool]]()

    def listed(name: str, pre: bool) -> str:  # noqa: FBT001
        asked.append((name, pre))
        return SAID

    releases("Outlines_Core", pre=True, listed=listed)
    assert asked == [("outlines-core", True)]


def test_between_takes_both_ends_along() -> None:
    """An end that is not listed stays: what was withdrawn may still be installed."""
    assert between(_known(), "outlines", "1.2.10", "1.3.0") == ("1.2.10", "1.3.0")
    assert between(_known(), "outlines", "1.2.11", "1.9") == ("1.2.11", "1.3.0", "1.9")


@pytest.mark.parametrize(
    ("old", "new", "said"), [("1.3", "1.3", "twice"), ("2", "1", "swap"), ("x", "1", "version")]
)
def test_ends_are_checked(old: str, new: str, said: str) -> None:
    """Two versions, the older first."""
    with pytest.raises(SettingError, match=said):
        between(_known(), "outlines", old, new)


@pytest.mark.parametrize("name", ["--index-url", "a b", ""])
def test_names_are_checked(name: str) -> None:
    """What is no name never reaches pip."""
    with pytest.raises(SettingError, match="no name"):
        releases(name, listed=lambda name, pre: SAID)


def test_an_index_without_releases() -> None:
    """Is said to be one."""
    with pytest.raises(SettingError, match="no releases"):
        releases("outlines", listed=lambda name, pre: "outlines\n")

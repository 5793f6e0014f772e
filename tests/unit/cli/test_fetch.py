"""Which sources ``fetch`` takes."""

from benchmark.cli.fetch import _chosen
from benchmark.models.downloads import sources


def test_large_sources_are_fetched_by_name_only() -> None:
    """``--all`` leaves them out, unless one is named too."""
    every = _chosen((), every=True, of_hub=False)
    assert set(sources()) - set(every) == {"gemma-2"}
    assert set(_chosen(("gemma-2",), every=True, of_hub=False)) == set(sources())


def test_folders_of_the_hub_have_names_of_their_own() -> None:
    """OLMo 2's vocabulary is cl100k."""
    chosen = _chosen(("olmo-2",), every=False, of_hub=True)
    assert {name: source.name for name, source in chosen.items()} == {"olmo-2": "cl100k"}

"""What the suite adds to pytest: the reason why GPU cases are skipped, and real tokenizers."""

from collections.abc import Callable, Sequence
from functools import cache

import pytest

from benchmark.models.tokenizer import TransformersTokenizer


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Skip what is marked ``gpu`` where there is no GPU, with one clear reason."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not _has_gpu():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU, and torch sees none here"))


@pytest.fixture(scope="session")
def real_tokenizer() -> Callable[[str], TransformersTokenizer]:
    """The real tokenizer of a name in ``sources.toml``; the test is skipped where it is missing."""
    from benchmark.models.sources import load_source_tokenizer, source

    @cache
    def load(name: str) -> TransformersTokenizer:
        wanted = source(name)
        if not wanted.present:
            pytest.skip(f"{name} is not here; get it with: {wanted.command}")
        return load_source_tokenizer(wanted)

    return load


def _has_gpu() -> bool:
    from benchmark.models.hardware import has_gpu

    return has_gpu()

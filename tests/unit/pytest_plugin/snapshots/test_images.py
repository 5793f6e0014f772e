"""When two pictures are the same."""

import io

import numpy as np
import pytest
from PIL import Image

from benchmark.pytest_plugin.snapshots.images import ImageExtension


def _png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def picture() -> np.ndarray:
    """A grey picture of 20,000 pixels."""
    return np.full((100, 200, 3), 128)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return ImageExtension().matches(serialized_data=_png(one), snapshot_data=_png(other))


def test_smoothing_is_not_noticed(picture: np.ndarray) -> None:
    """Small differences everywhere, or large ones in a few pixels, are the same picture."""
    assert _same(picture, picture + 40)
    other = picture.copy()
    other[0, :10] = 0
    assert _same(picture, other)


def test_a_line_is_noticed(picture: np.ndarray) -> None:
    """A thin line across the picture is not."""
    other = picture.copy()
    other[50] = 0
    assert not _same(picture, other)


def test_another_size_or_none(picture: np.ndarray) -> None:
    """A picture of another size is another picture; so is none."""
    assert not _same(picture, picture[:50])
    assert not ImageExtension().matches(serialized_data=_png(picture), snapshot_data=None)

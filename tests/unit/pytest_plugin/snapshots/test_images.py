"""When two figures count as equal."""

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


def test_smoothing_is_ignored(picture: np.ndarray) -> None:
    """Small differences everywhere, or large ones in few pixels, are equal figures."""
    assert _same(picture, picture + 40)
    other = picture.copy()
    other[0, :10] = 0
    assert _same(picture, other)


def test_line_is_found(picture: np.ndarray) -> None:
    """A thin line across the picture is a difference."""
    other = picture.copy()
    other[50] = 0
    assert not _same(picture, other)


def test_different_size_or_no_snapshot(picture: np.ndarray) -> None:
    """Neither is an equal figure."""
    assert not _same(picture, picture[:50])
    assert not ImageExtension().matches(serialized_data=_png(picture), snapshot_data=None)

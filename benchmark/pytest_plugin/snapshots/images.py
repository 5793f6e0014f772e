"""The syrupy extension for drawings: the same picture, but for how text is smoothed."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from syrupy.extensions.image import PNGImageSnapshotExtension
from syrupy.location import PyTestLocation

from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOTICED = 48
"""Of 255: a pixel that differs by more is another pixel; releases smooth edges differently."""

OTHER_PIXELS = 0.002
"""So large a share of other pixels is the same picture: one curve of Figure 1 less is 0.0032."""


class ImageExtension(PNGImageSnapshotExtension):
    """Keeps PNG files under ``snapshots/<name of the test file>``, compared pixel by pixel."""

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        """Beside the project's ``pyproject.toml``, as measurements are."""
        return str(Path(MeasurementExtension.dirname(test_location=test_location)))

    @classmethod
    def discovery_dirname(cls, *, test_location: PyTestLocation) -> str:
        """Where unused snapshots are looked for: the folder of the one test file."""
        return cls.dirname(test_location=test_location)

    def matches(self, *, serialized_data: object, snapshot_data: object) -> bool:
        """Whether the pictures are of one size and differ in few pixels."""
        if serialized_data == snapshot_data:
            return True
        if not isinstance(serialized_data, bytes) or not isinstance(snapshot_data, bytes):
            return False
        one, other = _pixels(serialized_data), _pixels(snapshot_data)
        if one.shape != other.shape:
            return False
        apart = np.abs(one - other).max(axis=2) > NOTICED
        return float(apart.mean()) <= OTHER_PIXELS


def _pixels(data: bytes) -> "NDArray[np.int16]":
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int16)

"""The syrupy extension for figures: equal except for the smoothing of edges."""

import io
from typing import TYPE_CHECKING

import numpy as np
from syrupy.extensions.image import PNGImageSnapshotExtension

from benchmark.pytest_plugin.snapshots.extension import ProjectExtension

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOTICED = 48
"""The difference, of 255, beyond which a pixel differs; releases smooth edges differently."""

OTHER_PIXELS = 0.002
"""The largest share of differing pixels in equal figures; a missing curve of Figure 1 is 0.0032."""


class ImageExtension(ProjectExtension, PNGImageSnapshotExtension):
    """Keeps PNG files under ``snapshots/<name of the test file>``, compared pixel by pixel."""

    def matches(self, *, serialized_data: object, snapshot_data: object) -> bool:
        """Return whether the figures have the same size and differ in few pixels."""
        if serialized_data == snapshot_data:
            return True
        if not isinstance(serialized_data, bytes) or not isinstance(snapshot_data, bytes):
            return False
        one, other = _pixels(serialized_data), _pixels(snapshot_data)
        if one.shape != other.shape:
            return False
        differing = np.abs(one - other).max(axis=2) > NOTICED
        return float(differing.mean()) <= OTHER_PIXELS


def _pixels(data: bytes) -> "NDArray[np.int16]":
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int16)

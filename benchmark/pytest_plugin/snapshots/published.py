"""The syrupy extension for published figures, which are equal on every machine."""

from pathlib import Path

from syrupy.extensions.json import JSONSnapshotExtension
from syrupy.location import PyTestLocation

from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension


class PublishedExtension(JSONSnapshotExtension):
    """Keeps snapshots under ``snapshots/published/<name of the test file>``."""

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        """Return the test file's folder under ``snapshots/published``."""
        folder = Path(MeasurementExtension.dirname(test_location=test_location))
        return str(folder.parent / "published" / folder.name)

    @classmethod
    def discovery_dirname(cls, *, test_location: PyTestLocation) -> str:
        """Return the folder in which unused snapshots are searched: that of the test file."""
        return cls.dirname(test_location=test_location)

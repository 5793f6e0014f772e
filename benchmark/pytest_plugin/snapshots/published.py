"""The syrupy extension for what is published: the same on every machine, and compared exactly."""

from pathlib import Path

from syrupy.extensions.json import JSONSnapshotExtension
from syrupy.location import PyTestLocation

from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension


class PublishedExtension(JSONSnapshotExtension):
    """Keeps snapshots under ``snapshots/published/<name of the test file>``."""

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        """Beside the project's ``pyproject.toml``, under ``snapshots/published``."""
        folder = Path(MeasurementExtension.dirname(test_location=test_location))
        return str(folder.parent / "published" / folder.name)

    @classmethod
    def discovery_dirname(cls, *, test_location: PyTestLocation) -> str:
        """Where unused snapshots are looked for: the folder of the one test file."""
        return cls.dirname(test_location=test_location)

"""The syrupy extension of the tokenizer sentinel: versions may differ, ids and sets may not."""

import json
from collections.abc import Iterator

from benchmark.fingerprints.tokenizer_family import Family, family_from_json, moved, shift_lines
from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension


class TokenizersExtension(MeasurementExtension):
    """Names the family, the stage and the libraries' versions when something moves."""

    def matches(self, *, serialized_data: object, snapshot_data: object) -> bool:
        """Whether no stage moved, whatever the versions."""
        return not moved(_family(snapshot_data), _family(serialized_data))

    def diff_lines(self, serialized_data: object, snapshot_data: object) -> Iterator[str]:
        """What moved, where, and which libraries differ."""
        if snapshot_data:
            yield from shift_lines(_family(snapshot_data), _family(serialized_data))


def _family(text: object) -> Family:
    return family_from_json(json.loads(str(text)))

"""The syrupy extension for tokenizers: versions may differ, ids and allowed tokens may not."""

from collections.abc import Iterator

from benchmark.fingerprints.tokenizer_family import (
    TokenizerRecord,
    changed_stages,
    difference_lines,
    record_from_json,
)
from benchmark.pytest_plugin.shown import shown
from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension
from benchmark.reading.documents import json_object


class TokenizersExtension(MeasurementExtension):
    """Names the family, the stage and the versions of libraries if something changed."""

    def matches(self, *, serialized_data: object, snapshot_data: object) -> bool:
        """Return whether no stage changed; versions may differ."""
        return not changed_stages(_record(snapshot_data), _record(serialized_data))

    def diff_lines(self, serialized_data: object, snapshot_data: object) -> Iterator[str]:
        """Yield the entries and the libraries that differ."""
        if snapshot_data:
            yield from map(
                shown, difference_lines(_record(snapshot_data), _record(serialized_data))
            )


def _record(text: object) -> TokenizerRecord:
    return record_from_json(json_object(str(text), "the snapshot or the record of tokenizers"))

"""The dataset's description in Croissant 1.0 (MLCommons), which is schema.org in JSON-LD."""

import json
from collections.abc import Mapping
from importlib.resources import files

from benchmark import __version__


def croissant(split: str, described: str, hashes: Mapping[str, str]) -> dict[str, object]:
    """The document about a folder.

    Args:
        split: which one it is; names the files.
        described: where the data is from, in words.
        hashes: SHA-256 of each file by its name.
    """
    text = files("benchmark.export").joinpath("croissant.json").read_text(encoding="utf-8")
    document: dict[str, object] = json.loads(text)
    document["version"] = __version__
    document["description"] = f"Entity tracking, the boxes task: {described}."
    formats = {"jsonl": "application/jsonlines", "parquet": "application/x-parquet"}
    document["distribution"] = [
        {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "encodingFormat": formats[name.rpartition(".")[2]],
            "sha256": digest,
        }
        for name, digest in hashes.items()
    ]
    document["recordSet"] = [_record_set(document.pop("fields"), f"{split}.parquet")]
    return document


def _record_set(columns: object, file: str) -> dict[str, object]:
    """The rows, each field taken from the column of its name."""
    described = columns if isinstance(columns, dict) else {}
    return {
        "@type": "cr:RecordSet",
        "@id": "queries",
        "name": "queries",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"queries/{name}",
                "name": name,
                "description": about["description"],
                "dataType": about["dataType"],
                "source": {"fileObject": {"@id": file}, "extract": {"column": name}},
            }
            for name, about in described.items()
        ],
    }

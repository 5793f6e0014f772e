"""Croissant 1.0 metadata of a dataset (MLCommons): schema.org in JSON-LD."""

import json
from collections.abc import Mapping

from benchmark import __version__
from benchmark.package_data import package_text


def croissant(split: str, description: str, hashes: Mapping[str, str]) -> dict[str, object]:
    """Return the Croissant document of a dataset folder.

    Args:
        split: the name of the split and of the files.
        description: the origin of the data, in words.
        hashes: SHA-256 of each file, by file name.
    """
    text = package_text("export/croissant.json")
    document: dict[str, object] = json.loads(text)
    document["version"] = __version__
    document["description"] = f"Entity tracking, the boxes task: {description}."
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
    """Return the description of the rows, with one field per column."""
    descriptions = columns if isinstance(columns, dict) else {}
    return {
        "@type": "cr:RecordSet",
        "@id": "queries",
        "name": "queries",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"queries/{name}",
                "name": name,
                "description": field["description"],
                "dataType": field["dataType"],
                "source": {"fileObject": {"@id": file}, "extract": {"column": name}},
            }
            for name, field in descriptions.items()
        ],
    }

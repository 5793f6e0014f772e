"""JSON files that the tests change."""

import json
from pathlib import Path


def edit_json(path: Path, **entries: object) -> None:
    """Add entries to the object in a JSON file, or replace them."""
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))

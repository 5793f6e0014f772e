"""``migrate``: rewrite fingerprints of older formats in the format of now."""

from pathlib import Path
from typing import Annotated

import typer


def migrate(
    paths: Annotated[list[Path], typer.Argument(help="Fingerprints, or folders of them.")],
) -> None:
    """Rewrite fingerprints of older formats in place; those of now stay as they are."""
    from benchmark.errors import DataError
    from benchmark.fingerprints.migration import record_files
    from benchmark.fingerprints.storage import migrate as migrated

    records = [each for path in paths for each in record_files(path)]
    if not records:
        raise DataError(f"{', '.join(map(str, paths))}: no fingerprint; name a file or a folder")
    for record in records:
        print(f"{'migrated' if migrated(record) else 'current'}: {record}")

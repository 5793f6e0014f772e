"""``migrate``: rewrite fingerprints of older formats in the current one."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.writing import Output


@output_options("quiet")
def migrate(
    paths: Annotated[
        list[Path], typer.Argument(help="Fingerprints, or folders that hold some.", metavar="PATH")
    ],
    output: Output,
) -> None:
    """Rewrite fingerprints of older formats in place; current ones are not touched."""
    from benchmark.errors import DataError
    from benchmark.fingerprints.migration import record_files
    from benchmark.fingerprints.storage import migrate as migrate_file

    records = [record for path in paths for record in record_files(path)]
    if not records:
        raise DataError(f"{', '.join(map(str, paths))}: no fingerprint; name a file or a folder")
    for record in records:
        output.remark(f"{'migrated' if migrate_file(record) else 'current'}: {record}")

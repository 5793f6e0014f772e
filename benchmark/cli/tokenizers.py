"""``tokenizers``: record token ids and constraint of every fetched tokenizer."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.writing import check_record_name, keep_record


def tokenizers(
    out: Annotated[Path, typer.Option(help="NAME.json or NAME.json.gz, for compare.")],
) -> None:
    """Record token ids and constraint of every fetched tokenizer; needs no weights."""
    from benchmark.errors import ModelError
    from benchmark.fingerprints.tokenizers import fetched_families, tokenizers_fingerprint

    check_record_name(out)
    families = fetched_families()
    if not families:
        raise ModelError("no tokenizer is fetched; run: python -m benchmark fetch --all")
    keep_record(tokenizers_fingerprint(families), out)
    print(f"families: {', '.join(families)}")

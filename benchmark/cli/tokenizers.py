"""``tokenizers``: record token ids and constraint of every fetched tokenizer."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.writing import check_fingerprint_path, save_fingerprint


def tokenizers(
    out: Annotated[Path, typer.Option(help="NAME.json or NAME.json.gz, for compare.")],
) -> None:
    """Record token ids and constraint of every fetched tokenizer; needs no weights."""
    from benchmark.errors import ModelError
    from benchmark.fingerprints.tokenizers import fetched_families, tokenizers_fingerprint

    check_fingerprint_path(out)
    families = fetched_families()
    if not families:
        raise ModelError("no tokenizer is fetched; run: python -m benchmark fetch --all")
    save_fingerprint(tokenizers_fingerprint(families), out)
    print(f"families: {', '.join(families)}")

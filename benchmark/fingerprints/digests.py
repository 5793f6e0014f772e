"""Digests, and what a record keeps of each stage."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

DIGEST_BYTES = 6
"""Of each state's digest: among a thousand states two agree by chance in 1e-9 of all records."""


@dataclass(frozen=True, slots=True)
class StageRecord:
    """The digests of one stage: one per state, one for all, or one per score.

    ``failed`` is the line of the error that ended the stage. A failed stage has no digests, except
    in a sentinel's record, where the other families have theirs.
    """

    digests: tuple[str, ...] = ()
    failed: str | None = None

    @property
    def digest(self) -> str | None:
        """One digest of all, in their order; None where the stage failed."""
        return None if self.failed else digest(self.digests)


def digest(parts: Iterable[object]) -> str:
    """Return a short hexadecimal digest of the parts as text, in their order."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(f"{part}\n".encode(errors="surrogatepass"))
    return whole.hexdigest()[: 2 * DIGEST_BYTES]

"""Digests, and the part of a record that belongs to one stage."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

IMPORT_FAILURE = "cannot import: "
"""The beginning of the error of a stage whose libraries cannot be imported."""

DIGEST_BYTES = 6
"""The length of a digest: of a thousand states, two agree by chance in 1e-9 of all records."""


@dataclass(frozen=True, slots=True)
class StageRecord:
    """The digests of one stage: one per state, one for all, or one per score.

    ``failed`` is the line of the error that ended the stage. A failed stage has no digests, except
    in a record of tokenizers, where it may have failed for some of them only.
    """

    digests: tuple[str, ...] = ()
    failed: str | None = None

    @property
    def failed_on_import(self) -> bool:
        """Whether the stage failed for all states since a library cannot be imported."""
        return self.failed_as_a_whole and IMPORT_FAILURE in (self.failed or "")

    @property
    def failed_as_a_whole(self) -> bool:
        """Whether the stage failed for all states, so that there are no digests."""
        return self.failed is not None and not self.digests

    @property
    def digest(self) -> str | None:
        """One digest of all digests in order; None if the stage failed."""
        return None if self.failed else digest(self.digests)


def failure_digest() -> str:
    """Return the digest of a state that failed, without the error's text.

    The text changes with the release, the machine and the path, even if the stage does not.
    """
    return digest(["failed"])


def digest(parts: Iterable[object]) -> str:
    """Return a short hexadecimal digest of the parts as text, in order."""
    sha256 = hashlib.sha256()
    for part in parts:
        sha256.update(f"{part}\n".encode(errors="surrogatepass"))
    return sha256.hexdigest()[: 2 * DIGEST_BYTES]

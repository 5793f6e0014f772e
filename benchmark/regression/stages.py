"""The stages of the pipeline, in the order in which a shift travels, and their fingerprints."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

STAGES = (
    "dataset",
    "prompt",
    "tokens",
    "constraint",
    "weights",
    "logits",
    "output",
    "answer",
    "outcome",
    "verdict",
)
"""Dataset, prompt text, token ids, allowed tokens along the path, weights as loaded,
log-probabilities along the path, tokens generated, parsed answer, right or wrong, counts."""

DIGEST_BYTES = 6
"""Of each state's digest: among a thousand states two agree by chance in 1e-9 of all records."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage's fingerprints, one a state; ``weights`` has one for all, ``verdict`` one a score.

    ``failed`` is the line of the error that ended the stage, which has no fingerprints then; of a
    sentinel's families the others have theirs.
    """

    digests: tuple[str, ...] = ()
    failed: str | None = None

    @property
    def digest(self) -> str | None:
        """One digest of all, in their order; None where the stage failed."""
        return None if self.failed else digest(self.digests)


def digest(parts: Iterable[object]) -> str:
    """A short hexadecimal digest of what the parts look like, in their order."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(f"{part}\n".encode(errors="surrogatepass"))
    return whole.hexdigest()[: 2 * DIGEST_BYTES]

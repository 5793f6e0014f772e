"""Which keys a token sees, read off the output of attention itself."""

import torch

from benchmark.decoding.speculative.attention import ScoreParameters
from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.cache import RaggedCache
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.fused.passes import FusedKernels
from benchmark.decoding.speculative.passes import PrefixPass, RowsPass

PREFIX, OWN = 7, 6
_KEY_HEADS, _GROUP, _WIDTH = 2, 2, 16
_TURNS = (1, 3, 2)
"""The tokens of each row in successive passes, ``OWN`` in all."""


def window_shares(
    window: int | None,
    softcap: float | None,
    dtype: torch.dtype,
    fused: FusedKernels | None = None,
) -> torch.Tensor:
    """Return the weight of each key for each token, shape (rows, tokens, keys), in float64.

    All scores are equal, and the value of a key is 1 at its own position: the output is the weight.
    The tokens are those of the prefix, then those of a row; there are two rows.
    """
    tokens = PREFIX + OWN
    parameters = ScoreParameters(0.4, softcap, window)
    query = torch.zeros(tokens, _KEY_HEADS * _GROUP, _WIDTH, dtype=dtype)
    key = torch.zeros(_KEY_HEADS, tokens, _WIDTH, dtype=dtype)
    value = torch.eye(_WIDTH, dtype=dtype)[:tokens].expand(_KEY_HEADS, -1, -1)
    cache = RaggedCache(2, OWN)
    shared = slice(0, PREFIX)
    prefix = PrefixPass(cache).attend(
        0, query[shared], key[:, shared], value[:, shared], parameters
    )
    by_row: list[list[torch.Tensor]] = [[prefix], [prefix]]
    done = 0
    for count in _TURNS:
        batch = Batch(PREFIX)
        for slot in range(2):
            batch.add(slot, done, [0] * count)
        part = slice(PREFIX + done, PREFIX + done + count)
        keys, values = (torch.cat([t[:, part]] * 2, dim=1) for t in (key, value))
        output = RowsPass(cache, batch, CostModel(9, 9, 0, 0, 4, 4), fused=fused).attend(
            0, torch.cat([query[part]] * 2), keys, values, parameters
        )
        for row, own in zip(by_row, torch.split(output, count), strict=True):
            row.append(own)
        done += count
    shares = torch.stack([torch.cat(row) for row in by_row])
    assert (shares == shares[:, :, :1]).all()  # every head has equal scores
    return shares[:, :, 0, :tokens].double()


def expected_shares(window: int | None) -> torch.Tensor:
    """Return the weights by definition: a token sees itself and what is before it in its window."""
    tokens = PREFIX + OWN
    rows = torch.zeros(tokens, tokens, dtype=torch.float64)
    for position in range(tokens):
        first = 0 if window is None else max(0, position + 1 - window)
        rows[position, first : position + 1] = 1 / (position + 1 - first)
    return rows.expand(2, -1, -1)

"""A reference implementation of torch's ``_flash_attention_forward`` for packed sequences.

It is written from the documentation of the kernel (flash_attn/flash_api.cpp, ``mha_varlen_fwd``)
and shares nothing with the code that calls it. What the kernel would refuse is an assertion.
"""

from collections.abc import Sequence

import torch

LARGEST_HEAD = 256


def flash_operator(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cum_seq_q: torch.Tensor,
    cum_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    dropout_p: float,
    is_causal: bool,  # noqa: FBT001  # as torch's
    return_debug_mask: bool,  # noqa: FBT001  # as torch's
    *,
    scale: float | None = None,
    window_size_left: int | None = None,
    window_size_right: int | None = None,
    seqused_k: torch.Tensor | None = None,
) -> tuple[torch.Tensor, ...]:
    """Return the output, shape of the queries, and log-sum-exp, shape (heads, total queries).

    Queries have shape (total queries, heads, width); keys and values have shape (total keys, key
    heads, width).
    Query i of a sequence with m queries and n keys sees the keys j with
    i + n - m - left <= j <= i + n - m + right; causal is right = 0.
    """
    assert not dropout_p
    assert not return_debug_mask
    _check_heads(query, key, value)
    lists = (cum_seq_q, cum_seq_k, seqused_k)
    _check_lengths([entry for entry in lists if entry is not None], len(cum_seq_q) - 1)
    assert max_q > 1  # for 1 the shape of the normalizers is another
    right = 0 if is_causal else window_size_right
    left = -1 if window_size_left is None else window_size_left
    output = torch.full(query.shape, torch.nan, dtype=torch.float64)
    logsumexp = torch.full((query.shape[1], len(query)), torch.nan, dtype=torch.float64)
    for entry in range(len(cum_seq_q) - 1):
        first, end = int(cum_seq_q[entry]), int(cum_seq_q[entry + 1])
        start = int(cum_seq_k[entry])
        used = int(cum_seq_k[entry + 1]) - start if seqused_k is None else int(seqused_k[entry])
        assert end - first <= max_q
        assert used <= max_k
        assert 0 <= start <= start + used <= len(key)
        for i in range(end - first):
            position = i + used - (end - first)
            last = used - 1 if right is None else min(used - 1, position + right)
            low = 0 if left < 0 else max(0, position - left)
            rows = slice(start + low, start + last + 1)
            attended = _attend(query[first + i], key[rows], value[rows], scale)
            output[first + i], logsumexp[:, first + i] = attended
    return output.to(query.dtype), logsumexp.float(), torch.empty(2), torch.empty(0), torch.empty(0)


def _check_heads(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
    """Check types, widths and numbers of heads as the kernel does."""
    heads, width = query.shape[1:]
    if width > LARGEST_HEAD or width % 8:
        raise RuntimeError(f"head dimension {width} is not supported")
    assert query.dtype in {torch.bfloat16, torch.float16}
    assert key.dtype == value.dtype == query.dtype
    assert key.shape == value.shape
    assert key.shape[2] == width
    assert heads % key.shape[1] == 0
    assert all(tensor.stride(-1) == 1 for tensor in (query, key, value))


def _check_lengths(lists: Sequence[torch.Tensor], batch: int) -> None:
    """Check the lists of sequences: two of ``batch + 1`` starts, and lengths if there are any."""
    assert all(tensor.dtype == torch.int32 and tensor.is_contiguous() for tensor in lists)
    starts, lengths = lists[:2], lists[2:]
    assert all(tensor.shape == (batch + 1,) for tensor in starts)
    assert all(tensor.shape == (batch,) for tensor in lengths)


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return output and log-sum-exp of one query, by head.

    The query has shape (heads, width), the keys and values that it sees (keys, key heads, width).
    """
    heads, width = query.shape
    outputs, sums = [], []
    for head in range(heads):
        shared = head // (heads // key.shape[1])
        scores = key[:, shared].double() @ query[head].double()
        scores *= width**-0.5 if scale is None else scale
        outputs.append(scores.softmax(0) @ value[:, shared].double())
        sums.append(scores.logsumexp(0))
    return torch.stack(outputs), torch.stack(sums)

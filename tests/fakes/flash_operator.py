"""A reference implementation of torch's ``_flash_attention_forward`` for packed sequences.

It is written from the documentation of the kernel (flash_attn/flash_api.cpp, ``mha_varlen_fwd``)
and shares nothing with the code that calls it. What the kernel would refuse is an assertion.
"""

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
    total, heads, width = query.shape
    assert not dropout_p
    assert not return_debug_mask
    if width > LARGEST_HEAD or width % 8:
        raise RuntimeError(f"head dimension {width} is not supported")
    assert query.dtype in {torch.bfloat16, torch.float16}
    assert key.dtype == value.dtype == query.dtype
    assert key.shape == value.shape
    assert key.shape[2] == width
    assert heads % key.shape[1] == 0
    assert all(tensor.stride(-1) == 1 for tensor in (query, key, value))
    batch = len(cum_seq_q) - 1
    assert cum_seq_k.shape == (batch + 1,)
    lists = [tensor for tensor in (cum_seq_q, cum_seq_k, seqused_k) if tensor is not None]
    assert all(tensor.dtype == torch.int32 and tensor.is_contiguous() for tensor in lists)
    assert seqused_k is None or seqused_k.shape == (batch,)
    assert max_q > 1  # for 1 the shape of the normalizers is another
    right = 0 if is_causal else window_size_right
    output = torch.full(query.shape, torch.nan, dtype=torch.float64)
    logsumexp = torch.full((heads, total), torch.nan, dtype=torch.float64)
    for entry in range(batch):
        first, end = int(cum_seq_q[entry]), int(cum_seq_q[entry + 1])
        start = int(cum_seq_k[entry])
        used = int(cum_seq_k[entry + 1]) - start if seqused_k is None else int(seqused_k[entry])
        assert end - first <= max_q
        assert used <= max_k
        assert 0 <= start <= start + used <= len(key)
        for i in range(end - first):
            last = used - 1 if right is None else min(used - 1, i + used - (end - first) + right)
            low = 0
            if window_size_left is not None and window_size_left >= 0:
                low = max(0, i + used - (end - first) - window_size_left)
            for head in range(heads):
                shared = head // (heads // key.shape[1])
                rows = slice(start + low, start + last + 1)
                scores = key[rows, shared].double() @ query[first + i, head].double()
                scores *= width**-0.5 if scale is None else scale
                output[first + i, head] = scores.softmax(0) @ value[rows, shared].double()
                logsumexp[head, first + i] = scores.logsumexp(0)
    return output.to(query.dtype), logsumexp.float(), torch.empty(2), torch.empty(0), torch.empty(0)

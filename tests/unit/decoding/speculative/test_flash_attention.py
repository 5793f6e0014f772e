"""Attention by the flash kernel, through a reference implementation of the kernel on the CPU."""

from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.decoding.speculative import flash_choice, transfers
from benchmark.decoding.speculative.attention import ScoreParameters
from benchmark.decoding.speculative.attention_plans import HeadCounts
from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.batch import Batch, CacheWrite, NextTokenRequest
from benchmark.decoding.speculative.cache import RaggedCache
from benchmark.decoding.speculative.compatibility import unsupported_reason
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.flash_choice import FLASH, LayerKind, attention_choice
from benchmark.decoding.speculative.model_runner import ModelRunner, ragged
from benchmark.decoding.speculative.passes import PrefixPass, RowsPass
from fakes.flash_operator import flash_operator
from fakes.host_waits import HostWaits
from fakes.naive_attention import naive_attention
from fakes.tiny_models import tiny_model
from fakes.window_shares import OWN, PREFIX, expected_shares, window_shares

COSTS = CostModel(9, 9, 0, 0, 4, 4)


@pytest.fixture(autouse=True, scope="module")
def _kernel() -> Iterator[None]:
    """Let the CPU have the kernel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flash_choice, "operator", lambda _: flash_operator)
        attention_choice.cache_clear()
        yield
    attention_choice.cache_clear()


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    prefix=st.integers(0, 7),
    cuts=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    window=st.sampled_from([None, 1, 4, 10]),
    heads=st.sampled_from([(1, 1), (1, 4), (2, 3)]),
    dtype=st.sampled_from([torch.bfloat16, torch.float16]),
    seed=st.integers(0, 99),
)
def test_packed_rows_are_independent(
    lengths: list[int],
    prefix: int,
    cuts: list[int],
    window: int | None,
    heads: tuple[int, int],
    dtype: torch.dtype,
    seed: int,
) -> None:
    """However rows are cut into passes, each has the attention that it has alone."""
    generator = torch.Generator().manual_seed(seed)
    counts = (heads[0] * heads[1], heads[0], heads[0])

    def draw(length: int) -> list[torch.Tensor]:
        return [torch.randn(length, n, 8, generator=generator).to(dtype) for n in counts]

    parameters = ScoreParameters(0.4, None, window)
    shared, rows = draw(prefix), [draw(length) for length in lengths]
    sequences = [[torch.cat(pair) for pair in zip(shared, row, strict=True)] for row in rows]
    expected = [naive_attention(query, key, value, window, 0.4) for query, key, value in sequences]
    cache = RaggedCache(len(rows), max(lengths))
    if prefix:
        query, key, value = shared
        output = PrefixPass(cache).attend(
            0, query, key.transpose(0, 1), value.transpose(0, 1), parameters
        )
        torch.testing.assert_close(output.double(), expected[0][:prefix], atol=0.03, rtol=0.01)
    done, kernels = [0] * len(rows), set[str]()
    for turn in range(100):
        batch, parts = Batch(prefix), []
        for slot in reversed(range(len(rows))):
            cut = slice(done[slot], done[slot] + cuts[(turn + slot) % len(cuts)])
            if part := range(lengths[slot])[cut]:
                batch.add(slot, part.start, [0] * len(part))
                parts.append((slot, [tensor[cut] for tensor in rows[slot]], part))
                done[slot] = part.stop
        if not parts:
            break
        query, key, value = (torch.cat([tensors[i] for _, tensors, _ in parts]) for i in range(3))
        output = RowsPass(cache, batch, COSTS, kernels).attend(
            0, query, key.transpose(0, 1), value.transpose(0, 1), parameters
        )
        assert output.dtype == dtype
        for (slot, _, part), span in zip(parts, batch.spans, strict=True):
            actual = output[span.start : span.start + span.length].double()
            reference = expected[slot][prefix + part.start : prefix + part.stop]
            torch.testing.assert_close(actual, reference, atol=0.03, rtol=0.01)
    assert done == lengths
    assert kernels == {FLASH}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("window", [None, 1, 3, PREFIX - 1, PREFIX, PREFIX + 1, PREFIX + OWN])
def test_what_is_seen_at_the_end_of_the_prefix(window: int | None, dtype: torch.dtype) -> None:
    """A window that ends in the prefix hides its first tokens, one that starts after it all."""
    shares = window_shares(window, None, dtype)
    torch.testing.assert_close(shares, expected_shares(window), atol=2e-3, rtol=1e-2)


def test_shared_tokens_are_written_to_every_slot() -> None:
    """A token that two rows share is computed once, and both attend to it."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 3, 1, 8, generator=generator).bfloat16()
    batch = Batch(0)
    batch.add(0, 0, [1, 2])
    batch.writes.append(CacheWrite(0, 1, 0))
    batch.add(1, 1, [3])
    output = RowsPass(RaggedCache(2, 4), batch, COSTS).attend(
        0, query, key.transpose(0, 1), value.transpose(0, 1), ScoreParameters(0.4, None, None)
    )
    for tokens in ([0, 1], [0, 2]):
        reference = naive_attention(query[tokens], key[tokens], value[tokens], None, 0.4)
        torch.testing.assert_close(output[tokens].double(), reference, atol=0.03, rtol=0.01)


def _kind(
    dtype: torch.dtype = torch.bfloat16,
    width: int = 64,
    window: int | None = None,
    softcap: float | None = None,
) -> LayerKind:
    parameters = ScoreParameters(width**-0.5, softcap, window)
    return LayerKind(torch.device("cpu"), dtype, HeadCounts(2, 2), width, parameters)


Result = tuple[torch.Tensor, ...]


def _not_at_the_end(*arguments: object, **named: object) -> Result:
    """Align causal masks at the start, as torch's other attention does: too few keys are seen."""
    query, keys = arguments[0], named["seqused_k"]
    assert isinstance(query, torch.Tensor)
    if arguments[8] and isinstance(keys, torch.Tensor):
        starts = arguments[3]
        assert isinstance(starts, torch.Tensor)
        named["seqused_k"] = starts.diff().int()
    return flash_operator(*arguments, **named)  # type: ignore[arg-type]


def _all_keys(*arguments: object, **named: object) -> Result:
    """See no window."""
    named["window_size_left"] = None
    return flash_operator(*arguments, **named)  # type: ignore[arg-type]


def _other_normalizer(*arguments: object, **named: object) -> Result:
    """Return the normalizer in the shape (queries, heads)."""
    output, logsumexp, *rest = flash_operator(*arguments, **named)  # type: ignore[arg-type]
    return output, logsumexp.transpose(0, 1), *rest


def _nan_for_causal(*arguments: object, **named: object) -> Result:
    """Return NaN for the prefix, the last part of each trial."""
    output, logsumexp, *rest = flash_operator(*arguments, **named)  # type: ignore[arg-type]
    is_prefix = arguments[8] and named.get("seqused_k") is None
    return output * (torch.nan if is_prefix else 1.0), logsumexp, *rest


def _other_arguments(query: torch.Tensor, key: torch.Tensor) -> Result:
    """Take other arguments."""
    return query, key


@pytest.mark.parametrize(
    ("function", "window", "problem"),
    [
        (flash_operator, None, None),
        (flash_operator, 3, None),
        (_not_at_the_end, None, "off in a trial"),
        (_all_keys, 3, "off in a trial"),
        (_nan_for_causal, None, "nan off in a trial"),
        (_other_normalizer, None, "refuses these layers"),
        (_other_arguments, None, "refuses these layers"),
    ],
)
def test_the_trial_decides(
    monkeypatch: pytest.MonkeyPatch,
    function: Callable[..., Result],
    window: int | None,
    problem: str | None,
) -> None:
    """A kernel that does otherwise than documented is not used, and the reason is recorded."""
    monkeypatch.setattr(flash_choice, "operator", lambda _: function)
    attention_choice.cache_clear()
    choice = attention_choice(_kind(window=window))
    attention_choice.cache_clear()
    assert (choice.kernel is None) is (problem is not None)
    assert (problem or FLASH) in str(choice.name)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (_kind(torch.float32), "float32"),
        (_kind(softcap=50.0), "soft cap"),
        (_kind(width=260), "head dimension 260"),
    ],
)
def test_layers_that_stay_plain(kind: LayerKind, reason: str) -> None:
    """The reason is in the composition."""
    choice = attention_choice(kind)
    assert choice.kernel is None
    assert str(choice.name).startswith("plain: ")
    assert reason in str(choice.name)


def test_the_schema_is_looked_at() -> None:
    """This release's operator has every argument; one that lacks some is named in the reason."""
    missing = flash_choice._missing_arguments
    assert not missing(torch.ops.aten._flash_attention_forward)
    assert {"cum_seq_q", "max_k"} <= set(missing(torch.ops.aten._efficient_attention_forward))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("architecture", "kernel"),
    [
        ("llama", FLASH),
        ("gemma", FLASH),
        ("mistral", FLASH),  # its window is shorter than the trial's text
        ("gemma3", FLASH),
        ("gemma2", "plain: soft cap"),
    ],
)
def test_models_have_the_logits_of_their_own_attention(
    architecture: str, kernel: str, dtype: torch.dtype
) -> None:
    """The engine takes them, and knows the kernel that they use."""
    model = tiny_model(architecture, 352, 1).to(dtype)
    kernels = set[str]()
    assert unsupported_reason(model, kernels) is None
    assert kernels == {kernel}


def _empty_attention(query: torch.Tensor, *_: object, **__: object) -> Result:
    return torch.empty_like(query), query.new_empty(query.shape[1], len(query)).float()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("architecture", ["llama", "mistral", "gemma2"])
def test_the_host_waits_once_per_pass(
    monkeypatch: pytest.MonkeyPatch, architecture: str, dtype: torch.dtype
) -> None:
    """For the tokens that a pass chooses; indices are copied without waiting, on both paths."""
    monkeypatch.setattr(flash_choice, "operator", lambda _: _empty_attention)
    monkeypatch.setattr(flash_choice, "_failure", lambda *_: None)
    monkeypatch.setattr(transfers, "_pinned", lambda tensor: tensor)
    model = tiny_model(architecture, 352, 1).to("meta", dtype)
    automaton = Automaton.from_transitions({0: {5: 1, 6: 1}, 1: {7: 0, 8: 0}}, 0, {}, 1)
    runner = ModelRunner(model, automaton, COSTS)
    with torch.inference_mode(), ragged(model):
        runner.begin((0, 3, 4), 2, 9)
        for turn in range(3):
            batch = Batch(3)
            for slot in range(2):
                indices = batch.add(slot, 2 * turn, [5, 7])
                batch.requests += [NextTokenRequest(index, i) for i, index in enumerate(indices)]
            with HostWaits() as host:
                assert runner.run(batch) == [0] * 4
            assert host.waits == ["tolist"]
            with HostWaits() as host:
                torch.tensor([1], device="meta")
                torch.zeros(2).to("meta")
            assert host.waits == ["tensor", "to"]

"""The compiled kernels in models: which layers use them, and that the engine's tokens stay."""

import copy
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel
from transformers.activations import ACT2FN
from transformers.models.cohere.modeling_cohere import CohereLayerNorm
from transformers.models.llama import modeling_llama
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaMLP

from benchmark.decoding.constraint import Constraint
from benchmark.decoding.engine import DecodingLimits
from benchmark.decoding.engines import compile_constraint, create_engine
from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.compatibility import unsupported_reason
from benchmark.decoding.speculative.engine import SpeculativeEngine
from benchmark.decoding.speculative.fused import (
    choice,
    compilation,
    kernels,
    operations,
    tile_attention,
    vector_attention,
)
from benchmark.decoding.speculative.fused import layers as fused_module
from benchmark.decoding.speculative.fused.decoder_layers import NormForward, _LayerForward
from benchmark.decoding.speculative.fused.layers import _Rotation, fused_layers
from benchmark.decoding.speculative.fused.passes import FusedKernels
from benchmark.decoding.speculative.fused.tiles import can_use_tiles
from benchmark.decoding.speculative.linears import packed_linears
from benchmark.decoding.speculative.matmul_backends import TorchBackend, candidates
from benchmark.decoding.speculative.model_runner import ModelRunner
from benchmark.models.loading import LoadOptions, load_model
from benchmark.models.location import locate
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.records import Completion
from benchmark.runs.data import load_states
from benchmark.runs.evaluation import Questions
from benchmark.runs.requests import NOT_WRITTEN, DataRequest, RunRequest
from benchmark.runs.resolution import resolve
from benchmark.tasks import DEFAULT, task_named
from fakes.attention_kinds import ATTENTION_KINDS, chosen_attention
from fakes.tiny_models import tiny_model

TRACK = Path(__file__).parents[2] / "fixtures" / "models" / "track"

VOCABULARY = 352

DTYPES = (torch.float32, torch.bfloat16)

REPLACED = {
    # Two norms per layer and one behind the last; two layers.
    "llama": (5, 2, 2),
    "mistral": (5, 2, 2),
    "qwen2": (5, 2, 2),
    "gemma": (5, 2, 2),
    # Its MLPs multiply by gates and ups at once.
    "phi3": (5, 0, 0),
    # Four norms per layer, some of them behind its parts.
    "gemma2": (9, 2, 0),
    # Two more per layer, of queries and keys.
    "olmo2": (9, 2, 0),
    "qwen3": (9, 2, 2),
    "gemma3": (13, 2, 0),
    # It subtracts the mean, and its MLPs have no gates.
    "gpt_neox": (0, 0, 0),
}
"""By architecture, how many norms, MLPs and decoder layers use a kernel."""


@pytest.fixture(autouse=True)
def _threads() -> None:
    """Let the kernels use as many threads as torch does here: one."""
    operations.use_threads()


def _replaced(model: PreTrainedModel) -> list[torch.nn.Module]:
    return [module for module in model.modules() if "forward" in vars(module)]


def _forwards(modules: Iterable[torch.nn.Module]) -> list[object]:
    return [vars(module).get("forward") for module in modules]


def _plain_layers(model: PreTrainedModel) -> int:
    """Return how many decoder layers were tried, and compute what the kernels do."""
    forwards = _forwards(model.modules())
    layers = [forward for forward in forwards if isinstance(forward, _LayerForward)]
    assert all(layer.is_plain is not None for layer in layers)
    return sum(bool(layer.is_plain) for layer in layers)


def _rotation(model: PreTrainedModel) -> object:
    return vars(sys.modules[type(model).__module__])["apply_rotary_pos_emb"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("architecture", REPLACED)
def test_models_have_their_own_logits(architecture: str, dtype: torch.dtype) -> None:
    """With the kernels packed passes are as near to a model's own as without them."""
    model = tiny_model(architecture, VOCABULARY, 1).to(dtype)
    assert unsupported_reason(model, fused=FusedKernels()) == unsupported_reason(model)


BROKEN: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "window": ("mistral", lambda window: 2 * window),
    "prefix_length": ("llama", lambda length: length - 1),
    "scaling": ("llama", lambda scaling: scaling * scaling),
    "writes": ("llama", lambda writes: writes * np.array([1, 0, 1])),  # other slots
    "items": ("llama", lambda items: items + np.array([0, 0, 0, 1])),  # other positions
}
"""Arguments of the kernel: the model, and what becomes of the argument."""


@pytest.mark.parametrize("kind", ATTENTION_KINDS)
@pytest.mark.parametrize("name", BROKEN)
def test_broken_passes_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, kind: str) -> None:
    """Attention with one argument changed shows in the logits of the trial."""
    architecture, change = BROKEN[name]
    model = tiny_model(architecture, VOCABULARY, 1, head_dim=32)
    model = model.to(chosen_attention(kind, monkeypatch))
    assert unsupported_reason(model, fused=FusedKernels()) is None
    used = tile_attention if kind.endswith("tiles") else vector_attention
    own = used.attend
    place = [*signature(own.py_func).parameters].index(name)

    def changed(*arguments: Any) -> None:  # noqa: ANN401  # what the kernel takes
        changing = list(arguments)
        changing[place] = change(changing[place])
        own(*changing)

    monkeypatch.setattr(used, "attend", changed)
    assert "standard deviations off" in str(unsupported_reason(model, fused=FusedKernels()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("architecture", REPLACED)
def test_layers_are_replaced_and_restored(architecture: str, dtype: torch.dtype) -> None:
    """All norms by root mean square and gated MLPs are, until the end or an exception."""
    model = tiny_model(architecture, VOCABULARY, 1).to(dtype)
    rotation, ids = _rotation(model), torch.arange(3, 20)[None]
    with torch.inference_mode():
        before = model(ids).logits
    for fails in (False, True):
        with suppress(LookupError), fused_layers(model):
            norms = [module for module in _replaced(model) if "Norm" in type(module).__name__]
            mlps = [module for module in _replaced(model) if "MLP" in type(module).__name__]
            layers = [module for module in _replaced(model) if "Layer" in type(module).__name__]
            assert (len(norms), len(mlps), len(layers)) == REPLACED[architecture]
            assert len(_replaced(model)) == len(norms) + len(mlps) + len(layers)
            assert isinstance(_rotation(model), _Rotation)
            with torch.inference_mode():
                fused = model(ids).logits
                assert _plain_layers(model) == len(layers)
            near = 1e-4 if dtype == torch.float32 else 0.2
            assert (fused - before).square().mean().sqrt() < near * before.std()
            if fails:
                raise LookupError
        assert not _replaced(model)
        assert _rotation(model) is rotation
    with torch.inference_mode():
        assert torch.equal(model(ids).logits, before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*candidates(torch.bfloat16)])
def test_packed_layers(name: str, dtype: torch.dtype) -> None:
    """MLPs use the kernel also if their weights are packed, and none is left to be restored."""
    backends = candidates(dtype)
    if name not in backends:
        pytest.skip(f"no {name} for {dtype}")
    model = tiny_model("llama", VOCABULARY, 1).to(dtype)
    with torch.inference_mode(), packed_linears(model, backends[name]), fused_layers(model):
        assert len(_replaced(model)) == sum(REPLACED["llama"])
        logits = model(torch.arange(9)[None]).logits
    assert logits.isfinite().all()
    assert not _replaced(model)


def test_a_replaced_forward_is_left_alone() -> None:
    """A layer whose ``forward`` was replaced for another purpose keeps it."""
    model = tiny_model("llama", VOCABULARY, 1)
    norm = model.get_decoder().norm
    own = norm.forward = lambda states: states * 3
    with fused_layers(model):
        assert norm.forward is own
        assert len(_replaced(model)) == sum(REPLACED["llama"])
    assert norm.forward is own
    assert _replaced(model) == [norm]


class Doubling(torch.nn.Module):
    """Has the parts of Llama's norm, and computes something else."""

    factor = 2.0

    def __init__(self, width: int, eps: float) -> None:
        """Take the number of inputs, and what is added to their mean square."""
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(width))
        self.variance_epsilon = eps

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return twice the norm."""
        norm = torch.nn.functional.rms_norm(states, self.weight.shape, eps=self.variance_epsilon)
        return self.weight * norm * self.factor


class TwoArguments(Doubling):
    """Takes one more argument."""

    def forward(self, states: torch.Tensor, factor: float) -> torch.Tensor:  # type: ignore[override]
        """Return a multiple of twice the norm."""
        return factor * super().forward(states)


class Plain(Doubling):
    """A norm like Llama's, in a class of its own."""

    factor = 1.0


class Clamping(Doubling):
    """Takes the larger of mean square and epsilon, where others add them."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return states of mean square 1, smaller if they are tiny."""
        square = states.float().square().mean(-1, keepdim=True)
        quotient = states.float() * square.clamp(min=self.variance_epsilon).rsqrt()
        return self.weight * quotient.to(states.dtype)


class ClampedMLP(LlamaMLP):  # type: ignore[misc]  # transformers has no types
    """Bounds its gates, which small states do not show."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the MLP of gates of at most 16."""
        gates = self.act_fn(self.gate_proj(x).clamp(max=16.0))
        result: torch.Tensor = self.down_proj(gates * self.up_proj(x))
        return result


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_mlp_with_bounds_is_not_replaced(dtype: torch.dtype) -> None:
    """Some of the states of the trial are large."""
    model = tiny_model("llama", 64, 1).to(dtype)
    own = next(module for module in model.modules() if isinstance(module, LlamaMLP))
    own.__class__ = ClampedMLP
    with fused_layers(model):
        replaced = _replaced(model)
    assert own not in replaced
    assert any(isinstance(module, LlamaMLP) for module in replaced)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [32, 4096])
@pytest.mark.parametrize(
    "norm_class",
    [
        Doubling,
        TwoArguments,
        Clamping,
        CohereLayerNorm,
        lambda width, eps: torch.nn.LayerNorm(width, eps, bias=False),
    ],
    ids=["doubling", "argument", "clamping", "mean", "torch's mean"],
)
def test_norms_that_compute_something_else(
    norm_class: Callable[..., torch.nn.Module], width: int, dtype: torch.dtype
) -> None:
    """They have one weight, as norms by root mean square have, and are not replaced."""
    model = tiny_model("llama", VOCABULARY, 1).to(dtype)
    model.get_decoder().norm = norm_class(width, eps=1e-5).to(dtype)
    with fused_layers(model):
        assert "forward" not in vars(model.get_decoder().norm)
        assert len(_replaced(model)) == 8
    model.get_decoder().norm = Plain(width, eps=1e-5).to(dtype)
    with fused_layers(model):
        assert "forward" in vars(model.get_decoder().norm)


class Multiplying(LlamaDecoderLayer):  # type: ignore[misc]  # transformers has no types
    """Multiplies what its parts add, as Granite's layers do."""

    factor = 0.99

    def attended(self, normed: torch.Tensor, **named: Any) -> torch.Tensor:  # noqa: ANN401
        """Return what the attention adds."""
        states: torch.Tensor = self.self_attn(hidden_states=normed, **named)[0]
        return states

    def forward(self, hidden_states: torch.Tensor, **named: Any) -> torch.Tensor:  # noqa: ANN401
        """Return the states behind the layer."""
        attended = self.attended(self.input_layernorm(hidden_states), **named)
        states = hidden_states + attended * self.factor
        changes = self.mlp(self.post_attention_layernorm(states))
        result: torch.Tensor = states + changes * self.factor
        return result


class Alike(Multiplying):
    """A layer like Llama's, with a ``forward`` of its own."""

    factor = 1.0


class Parallel(Alike):
    """Its MLP gets the states before the attention."""

    def forward(self, hidden_states: torch.Tensor, **named: Any) -> torch.Tensor:  # noqa: ANN401
        """Return the states behind the layer."""
        attended = self.attended(self.input_layernorm(hidden_states), **named)
        changes = self.mlp(self.post_attention_layernorm(hidden_states))
        result: torch.Tensor = hidden_states + attended + changes
        return result


class Shifting(Alike):
    """Its attention gets other angles than the layer does."""

    def attended(self, normed: torch.Tensor, **named: Any) -> torch.Tensor:  # noqa: ANN401
        """Return what the attention adds."""
        cosines, sines = named.pop("position_embeddings")
        return super().attended(normed, position_embeddings=(cosines, -sines), **named)


class Positional(Alike):
    """Gives its attention the states without their name."""

    def attended(self, normed: torch.Tensor, **named: Any) -> torch.Tensor:  # noqa: ANN401
        """Return what the attention adds."""
        states: torch.Tensor = self.self_attn(normed, **named)[0]
        return states


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("small", [False, True], ids=["usual weights", "small weights"])
@pytest.mark.parametrize(
    ("layer_class", "plain"),
    [(Alike, 2), (Multiplying, 1), (Parallel, 1), (Shifting, 1), (Positional, 1)],
)
def test_layers_that_compute_something_else(
    layer_class: type[torch.nn.Module],
    plain: int,
    small: bool,  # noqa: FBT001  # a case
    dtype: torch.dtype,
) -> None:
    """They have the parts of Llama's, and keep their own sums; the model's logits stay."""
    model = tiny_model("llama", VOCABULARY, 1).to(dtype)
    layer = model.get_decoder().layers[0]
    layer.__class__ = layer_class
    if small:  # what the parts add is small next to the states
        layer.input_layernorm.weight.data *= 0.01
        layer.post_attention_layernorm.weight.data *= 0.01
    ids = torch.arange(3, 20)[None]
    with torch.inference_mode():
        before = model(ids).logits
        with fused_layers(model):
            logits = [model(ids).logits for _ in range(2)]
            assert _plain_layers(model) == plain
    assert torch.equal(*logits)
    near = 1e-4 if dtype == torch.float32 else 0.2
    assert (logits[0] - before).square().mean().sqrt() < near * before.std()


def test_a_norm_computed_in_advance_is_that_of_one_tensor() -> None:
    """It is returned once, and only for the sums themselves."""
    generator = torch.Generator().manual_seed(0)
    states, changes, others = torch.randn(3, 2, 5, 32, generator=generator)
    norm = operations.Norm(torch.ones(32), 1e-6, adds_one=False, rounds=True)
    forward = NormForward(lambda _: torch.zeros(1), norm)
    for first_others in (False, True):
        sums = forward.sums(states, changes.clone())
        assert torch.equal(sums, states + changes)
        kept = norm.normalize(sums)
        sums.zero_()  # a norm computed now is 0
        if first_others:
            assert torch.equal(forward(others), norm.normalize(others))
            assert not forward(sums).any()
        else:
            assert torch.equal(forward(sums), kept)
            assert not forward(sums).any()
    assert torch.equal(forward(others.double()), torch.zeros(1))


@pytest.mark.parametrize(
    "changes",
    [
        torch.ones(5, 2, 32).transpose(0, 1),
        torch.ones(2, 5, 32, dtype=torch.bfloat16),
        torch.ones(2, 5, 32, dtype=torch.float64),
        torch.ones(1, 1, 32),
    ],
    ids=["not contiguous", "bfloat16", "float64", "broadcast"],
)
def test_sums_of_other_tensors(changes: torch.Tensor) -> None:
    """They are torch's own, in their dtype and shape, and no norm is kept."""
    states = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0))
    norm = operations.Norm(torch.ones(32), 1e-6, adds_one=False, rounds=True)
    forward = NormForward(lambda _: torch.zeros(1), norm)
    sums, before = forward.sums(states, changes), changes.clone()
    assert sums.dtype == (states + changes).dtype
    assert torch.equal(sums, states + changes)
    assert torch.equal(changes, before)
    assert forward._ahead is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("architecture", REPLACED)
def test_decoder_layers_change_no_bit(
    architecture: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits with decoder layers' kernels are those with the other kernels, bit for bit."""
    model = tiny_model(architecture, VOCABULARY, 1).to(dtype)
    ids = torch.arange(3, 20)[None]
    with torch.inference_mode(), fused_layers(model):
        logits = [model(ids).logits for _ in range(2)]
    monkeypatch.setattr(fused_module, "decoder_layers", lambda _: [])
    with torch.inference_mode(), fused_layers(model):
        assert not any(isinstance(one, _LayerForward) for one in _forwards(model.modules()))
        expected = model(ids).logits
    assert torch.equal(logits[0], expected)
    assert torch.equal(logits[1], expected)


def test_a_layer_between_others_keeps_its_own() -> None:
    """A layer whose MLP has no kernel gets the states, and the norm of them if it has that."""
    model = tiny_model("llama", VOCABULARY, 1)
    layers = model.get_decoder().layers
    layers.insert(1, copy.deepcopy(layers[0]))
    model.config.num_hidden_layers = 3
    layers[1].mlp.act_fn = ACT2FN["relu"]
    ids, counts = torch.arange(3, 20)[None], [0, 0]

    def count(place: int) -> Callable[..., None]:
        def hook(*_: object) -> None:
            counts[place] += 1

        return hook

    layers[0].post_attention_layernorm.register_forward_hook(count(0))
    layers[1].input_layernorm.register_forward_hook(count(1))
    with torch.inference_mode():
        before = model(ids).logits
        with fused_layers(model):
            assert [isinstance(one, _LayerForward) for one in _forwards(layers)] == [
                True,
                False,
                True,
            ]
            counts[:] = 0, 0
            logits = model(ids).logits
            assert counts == [3, 1]  # the first twice in the trial
            model(ids)
            assert counts == [4, 2]
    torch.testing.assert_close(logits, before, rtol=1e-4, atol=1e-4)


ACTIVATIONS = {"silu": 2, "gelu_pytorch_tanh": 2, "gelu_new": 2} | dict.fromkeys(
    ("relu", "gelu", "quick_gelu", "relu2", "mish", "sigmoid"), 0
)
"""By activation, how many MLPs use a kernel."""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation: str, dtype: torch.dtype) -> None:
    """Only SiLU and the approximation of GELU by tanh have a kernel."""
    model = tiny_model("llama", VOCABULARY, 1).to(dtype)
    for module in model.modules():
        if isinstance(module, LlamaMLP):
            module.act_fn = ACT2FN[activation]
    with fused_layers(model):
        mlps = [module for module in _replaced(model) if isinstance(module, LlamaMLP)]
        assert len(mlps) == ACTIVATIONS[activation]
        # Five norms, and a decoder layer for each MLP.
        assert len(_replaced(model)) == 2 * len(mlps) + 5


def _interleaving(
    queries: torch.Tensor, keys: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate neighbouring numbers against one another, as some models do."""

    def rotated(states: torch.Tensor) -> torch.Tensor:
        turned = torch.stack([-states[..., 1::2], states[..., ::2]], -1).flatten(-2)
        cosine, sine = (
            t.chunk(2, -1)[0].repeat_interleave(2, -1)[:, None] for t in (cosines, sines)
        )
        return states * cosine + turned * sine

    return rotated(queries), rotated(keys)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("first", [[0], [0, 1, 2], [900]])
def test_a_rotation_that_interleaves(
    monkeypatch: pytest.MonkeyPatch, first: list[int], dtype: torch.dtype
) -> None:
    """It stays, also if position 0 comes first, where nothing is rotated and all are equal."""
    monkeypatch.setattr(modeling_llama, "apply_rotary_pos_emb", _interleaving)
    model = tiny_model("llama", VOCABULARY, 1).to(dtype)
    embedding = model.get_decoder().rotary_emb
    with torch.inference_mode(), fused_layers(model):
        rotate = modeling_llama.apply_rotary_pos_emb
        assert isinstance(rotate, _Rotation)
        for positions in (first, list(range(40))):
            query, key = torch.randn(2, 1, 4, len(positions), 8).to(dtype)
            angles = embedding(query, torch.tensor([positions]))
            for result, expected in zip(
                rotate(query, key, *angles), _interleaving(query, key, *angles), strict=True
            ):
                assert torch.equal(result, expected)
    assert modeling_llama.apply_rotary_pos_emb is _interleaving


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_rotation_of_halves(dtype: torch.dtype) -> None:
    """It uses the kernel for tensors of the usual shapes, and its own code for others."""
    calls = []
    own = modeling_llama.apply_rotary_pos_emb

    def counted(*tensors: torch.Tensor, **named: int) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(len(tensors))
        result: tuple[torch.Tensor, torch.Tensor] = own(*tensors, **named)
        return result

    rotate = _Rotation(counted)
    query, key = torch.randn(1, 4, 9, 8).to(dtype), torch.randn(1, 2, 9, 8).to(dtype)
    angles = torch.randn(2, 1, 9, 4).repeat(1, 1, 1, 2).to(dtype)
    for _ in range(3):
        for result, expected in zip(
            rotate(query, key, *angles), own(query, key, *angles), strict=True
        ):
            torch.testing.assert_close(result, expected)
        assert calls == [4]
    cases: list[tuple[Any, Any]] = [
        ((query, key, *angles), {"unsqueeze_dim": 1}),
        ((query, key, *angles.double()), {}),
        ((query.repeat(2, 1, 1, 1), key.repeat(2, 1, 1, 1), *angles), {}),
    ]
    for tensors, named in cases:
        before = len(calls)
        for result, expected in zip(rotate(*tensors, **named), own(*tensors, **named), strict=True):
            assert torch.equal(result, expected)
        assert len(calls) == before + 1


@pytest.fixture(scope="module")
def questions() -> Questions:
    """Prompts for the control model, and correct answers."""
    settings = resolve(RunRequest(str(TRACK), NOT_WRITTEN, device="cpu"))
    states = load_states(DataRequest(states=2))
    return Questions(task_named(DEFAULT), settings, load_tokenizer(locate(str(TRACK))), states)


@pytest.fixture(scope="module")
def constraint(questions: Questions) -> Constraint:
    """The answers that are allowed."""
    return compile_constraint(questions.task.expression, questions.tokenizer)


@pytest.fixture(scope="module")
def track() -> Callable[[str], PreTrainedModel]:
    """Return a function that loads the control model in a dtype."""
    return lambda dtype: load_model(locate(str(TRACK)), LoadOptions("cpu", dtype))


@pytest.fixture(autouse=True)
def _loaded() -> Iterator[None]:
    """Let tests decide whether the kernels can be loaded."""
    choice._loaded.cache_clear()
    yield
    choice._loaded.cache_clear()


Completions = dict[int, Completion]

Decoded = tuple[SpeculativeEngine, Completions, list[str]]
"""The engine, the completions by prompt, and what was said."""


def _decode(
    model: PreTrainedModel,
    questions: Questions,
    constraint: Constraint,
    products: str | None = "torch",
    *,
    fused: bool = True,
) -> Decoded:
    lines: list[str] = []
    engine = create_engine(
        "speculative",
        model,
        questions.tokenizer,
        DecodingLimits(4, 100),
        constraint,
        questions.drafts,
        lines.append,
        products,
        fused=fused,
    )
    assert isinstance(engine, SpeculativeEngine)
    completions = dict(pair for batch in engine.generate(questions.prompt_ids) for pair in batch)
    assert not _replaced(model)
    return engine, completions, lines


@pytest.fixture(scope="module")
def expected(
    track: Callable[[str], PreTrainedModel], questions: Questions, constraint: Constraint
) -> Completions:
    """Completions in float32 without kernels."""
    return _decode(track("float32"), questions, constraint, fused=False)[1]


def test_tokens_are_the_same(
    track: Callable[[str], PreTrainedModel],
    questions: Questions,
    constraint: Constraint,
    expected: Completions,
) -> None:
    """In float32, with and without kernels; the composition says which."""
    model = track("float32")
    fused, completions, lines = _decode(model, questions, constraint)
    plain, again, more = _decode(model, questions, constraint, fused=False)
    assert completions == expected == again
    assert len(completions) == len(questions.states)
    assert {**plain.composition, "kernels": "Numba"} == fused.composition
    assert "kernels" not in plain.composition
    assert not lines
    assert not more


def test_bfloat16_uses_kernels_and_float16_does_not(
    track: Callable[[str], PreTrainedModel], questions: Questions, constraint: Constraint
) -> None:
    """Answers in bfloat16 are complete; in float16 there are no kernels."""
    engine, completions, lines = _decode(track("bfloat16"), questions, constraint)
    tiles = ", tiles of AMX" if can_use_tiles() else ""  # heads of 32 fill them
    assert engine.composition["kernels"] == f"Numba{tiles}"
    assert all(completion.finished for completion in completions.values())
    assert not lines
    engine, _, lines = _decode(track("float16"), questions, constraint, None)
    assert "kernels" not in engine.composition
    assert not lines


def test_without_numba(
    track: Callable[[str], PreTrainedModel],
    questions: Questions,
    constraint: Constraint,
    expected: Completions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine decodes without kernels, and says nothing of it."""
    model = track("float32")
    tried = []

    def missing(name: str) -> None:
        tried.append(name)
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(choice, "import_module", missing)
    engine, completions, lines = _decode(model, questions, constraint)
    assert tried
    assert completions == expected
    assert "kernels" not in engine.composition
    assert not lines


def test_a_processor_without_the_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose flags are listed and have no ``fma`` has no kernels; other devices have none."""
    cpu = torch.device("cpu")
    assert isinstance(choice.fused_kernels(cpu, torch.float32), FusedKernels)
    assert choice.fused_kernels(torch.device("meta"), torch.float32) is None
    assert choice.fused_kernels(cpu, torch.float16) is None
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(choice, "cpu_flags", lambda: frozenset({"sse2"}))
    choice._loaded.cache_clear()
    assert choice.fused_kernels(cpu, torch.float32) is None


def test_kernels_that_raise(
    track: Callable[[str], PreTrainedModel],
    questions: Questions,
    constraint: Constraint,
    expected: Completions,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """One line has the reason, and the engine decodes without them; lack of memory is raised."""
    model = track("float32")
    kept = tmp_path / "kernels"
    kept.mkdir()
    monkeypatch.setattr(compilation, "_folder", lambda: kept)

    def failing(*_: object) -> None:
        raise LookupError("no such instruction\nand more")

    monkeypatch.setattr(vector_attention, "attend", failing)
    engine, completions, lines = _decode(model, questions, constraint)
    (line,) = lines
    assert line.startswith("kernels compiled by Numba are not used: no such instruction and more; ")
    assert line.endswith("the next run will compile them again")
    assert completions == expected
    assert "kernels" not in engine.composition
    assert not kept.exists()

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(vector_attention, "attend", full)
    with pytest.raises(torch.OutOfMemoryError):
        _decode(model, questions, constraint)
    assert not _replaced(model)


@pytest.mark.parametrize("raises", [False, True])
def test_tiles_that_fail(
    track: Callable[[str], PreTrainedModel],
    questions: Questions,
    constraint: Constraint,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    raises: bool,  # noqa: FBT001  # a case
) -> None:
    """Attention by tiles that raises or is wrong is not used; a line says so."""
    model = track(str(chosen_attention("bfloat16 by tiles", monkeypatch)).partition(".")[2])
    _, expected, _ = _decode(model, questions, constraint, fused=False)
    own = tile_attention.attend
    monkeypatch.setattr(compilation, "_folder", lambda: tmp_path / "kernels")

    def failing(*arguments: Any) -> None:  # noqa: ANN401  # what the kernel takes
        if raises:
            raise LookupError("no such instruction")
        own(*arguments)
        arguments[-1][...] = 0

    monkeypatch.setattr(tile_attention, "attend", failing)
    engine, completions, (line,) = _decode(model, questions, constraint)
    assert ("no such instruction" if raises else "standard deviations off") in line
    assert "kernels" not in engine.composition
    assert completions == expected


WRONG = {
    "normalize": ("normalize", -1),
    "sums": ("add_and_normalize", 1),
    "norms of sums": ("add_and_normalize", -1),
    "gate": ("gate", 0),
    "rotate": ("rotate", -1),
    "attend": ("attend", -1),
}
"""The kernels that are wrong, and which of their arguments has what is wrong."""


def _plus_one(monkeypatch: pytest.MonkeyPatch, name: str, place: int) -> None:
    """Let a kernel add 1 to the results that it puts into this argument."""
    module = vector_attention if name == "attend" else kernels
    own = getattr(module, name)

    def wrong(*arguments: Any) -> None:  # noqa: ANN401  # what the kernel takes
        own(*arguments)
        array = arguments[place]
        array += 1

    monkeypatch.setattr(module, name, wrong)


@pytest.mark.parametrize("name", WRONG)
def test_kernels_that_compute_something_wrong(
    track: Callable[[str], PreTrainedModel],
    questions: Questions,
    constraint: Constraint,
    expected: Completions,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """They are not used: a layer keeps its own code; without attention there are no kernels.

    The latter is said in a line.
    """
    model = track("float32")
    _plus_one(monkeypatch, *WRONG[name])
    engine, completions, lines = _decode(model, questions, constraint)
    assert ["standard deviations off" in line for line in lines] == [True] * (name == "attend")
    assert completions == expected
    assert ("kernels" in engine.composition) is (name != "attend")
    with fused_layers(model):
        kinds = {type(module) for module in _replaced(model)}
        assert any("Norm" in kind.__name__ for kind in kinds) is (name != "normalize")
        assert any("MLP" in kind.__name__ for kind in kinds) is (name != "gate")
        if "sums" in name:
            with torch.inference_mode():
                model(torch.arange(9)[None])
            assert _plain_layers(model) == 0


@pytest.mark.parametrize("fused", [True, False], ids=["compiled", "torch"])
def test_padded_passes_change_no_token(
    track: Callable[[str], PreTrainedModel],
    questions: Questions,
    constraint: Constraint,
    expected: Completions,
    monkeypatch: pytest.MonkeyPatch,
    fused: bool,  # noqa: FBT001  # a case
) -> None:
    """Products of multiples of 16 rows: the model's passes have as many tokens, or at most 32."""
    model = track("float32")
    monkeypatch.setattr(TorchBackend, "row_multiple", 16)
    sizes, packed, run = list[int](), list[int](), ModelRunner.run

    def counted(runner: ModelRunner, batch: Batch) -> list[int]:
        packed.append(len(batch.tokens))
        tokens = run(runner, batch)
        sizes.append(len(runner._hidden))
        return tokens

    monkeypatch.setattr(ModelRunner, "run", counted)
    _, completions, _ = _decode(model, questions, constraint, fused=fused)
    assert completions == expected
    assert any(size % 16 for size in packed if size > 32)
    assert not any(size % 16 for size in sizes if size > 32)
    assert [size for size in sizes if size <= 32] == [size for size in packed if size <= 32]


_FORKED = """
import os, sys
import torch
torch.set_num_threads(1)
from benchmark.decoding.speculative.fused import operations
from benchmark.decoding.speculative.fused.choice import fused_kernels

cpu = torch.device("cpu")
assert fused_kernels(cpu, torch.float32) is not None
ones = torch.ones(4, 8)
operations.Norm(torch.ones(8), 1e-6, adds_one=False, rounds=True).normalize(ones)
assert torch.get_num_threads() == 1
child = os.fork()
if child == 0:
    torch.ones(1000, 1000).add_(1)
    os._exit(7 if fused_kernels(cpu, torch.float32) is None else 8)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_has_no_kernels() -> None:
    """OpenMP's threads do not survive a fork, and Numba would end the child.

    Numba sets the number of torch's threads when it starts its own; with more than one, torch would
    wait for ever in the child.
    """
    run = [sys.executable, "-c", _FORKED]
    done = subprocess.run(run, capture_output=True, text=True, check=True)  # noqa: S603  # its own
    assert done.stdout == "7\n"


def test_families_end_in_any_order() -> None:
    """Two models of a family whose runs overlap leave the library's rotation as it was."""
    own = modeling_llama.apply_rotary_pos_emb
    first, second = (fused_layers(tiny_model("llama", 64, 1)) for _ in range(2))
    for one in (first, second):
        one.__enter__()
    for one in (first, second):
        one.__exit__(None, None, None)
    assert modeling_llama.apply_rotary_pos_emb is own

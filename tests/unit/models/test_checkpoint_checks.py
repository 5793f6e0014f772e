"""A model whose logits depend on later tokens is refused, even if they do so slightly."""

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from benchmark.errors import RefusedModelError
from benchmark.models.checkpoint_checks import check_causal, future_dependence
from benchmark.models.downloads import source
from benchmark.models.loading import DTYPES, LoadOptions, load_model
from benchmark.models.location import locate
from fakes.tiny_models import tiny_model

CONTROLS = Path(__file__).parents[3] / "fixtures" / "models"


def _leaking(model: PreTrainedModel, share: float) -> PreTrainedModel:
    """Let the first layer add a share of the next token's attention to each token's own."""

    def leak(_: object, __: object, output: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        attended, *rest = output
        return (attended + share * attended.roll(-1, dims=1), *rest)

    model.get_decoder().layers[0].self_attn.register_forward_hook(leak)
    return model


def _dependence(model: PreTrainedModel) -> float:
    return future_dependence("m", model)[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_slight_leak_is_refused(dtype: str) -> None:
    """In every dtype, a leak of a few per cent of the logits' range is refused."""
    torch.manual_seed(0)
    model = tiny_model("llama", 352, 1).to(getattr(torch, dtype))
    check_causal("m", model)
    assert _dependence(model) == 0
    leaking = _leaking(model, 0.02)
    assert 0.005 < _dependence(leaking) < 0.05  # too little for the tolerance of before
    with pytest.raises(RefusedModelError, match=r"^m: the logits of a token depend .* \(by 0\.0"):
        check_causal("m", leaking)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["track", "copy-a"])
def test_control_models_are_causal(name: str, dtype: str) -> None:
    """A later token changes nothing, not even by rounding."""
    model = load_model(locate(str(CONTROLS / name)), LoadOptions("cpu", dtype))
    assert _dependence(model) < 0.0005


def test_a_real_model_is_causal() -> None:
    """SmolLM2, if it is fetched, is far below the tolerance in 16 bit; a leak is not."""
    smollm2 = source("smollm2")
    if not smollm2.present:
        pytest.skip(f"not fetched; get it with: {smollm2.command}")
    path = next(smollm2.folder.glob("*.gguf"))
    model = load_model(locate(str(path)), LoadOptions("cpu", "bfloat16"))
    for dtype in (torch.float16, torch.bfloat16):
        assert _dependence(model.to(dtype)) < 0.0005
    with pytest.raises(RefusedModelError, match="depend on the tokens after it"):
        check_causal("smollm2", _leaking(model, 0.2))

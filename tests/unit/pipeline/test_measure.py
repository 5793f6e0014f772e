"""What a request's settings come to, and what of them is not the protocol's."""

from pathlib import Path

import pytest

from benchmark.errors import SettingError
from benchmark.pipeline import RunRequest
from benchmark.pipeline.measure import resolve

OUT = Path("unused")


def test_a_protocol_as_it_is() -> None:
    """Without changes all settings are the protocol's, and none is listed as changed."""
    settings = resolve(RunRequest("m", OUT, protocol="paper", device="cpu"))
    assert settings.changed == ()
    assert (settings.engine, settings.limits.batch_size, settings.limits.max_new_tokens) == (
        "outlines",
        1,
        100,
    )
    assert settings.options.dtype == "bfloat16"


def test_changes_of_a_protocol_are_recorded() -> None:
    """What is not as the protocol says is listed by name, so that the name is not the whole."""
    request = RunRequest(
        "m", OUT, protocol="paper", device="cpu", dtype="float32", batch_size=4, engine="outlines"
    )
    assert resolve(request).changed == ("batch_size", "dtype")
    assert resolve(RunRequest("m", OUT, device="cpu", dtype="float32")).changed == ()


def test_the_papers_large_models_are_quantized_on_a_gpu_only() -> None:
    """The paper's protocol loads its 70B models in 8 bit; a CPU cannot, and the result says so."""
    large = RunRequest("meta-llama/Llama-2-70b-hf", OUT, protocol="paper", device="cpu")
    settings = resolve(large)
    assert settings.options.quantization is None
    assert settings.changed == ("quantization",)
    small = RunRequest("meta-llama/Llama-2-7b-hf", OUT, protocol="paper", device="cpu")
    assert resolve(small).changed == ()


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "fast"},
        {"protocol": "fast"},
        {"prompt_format": "poem"},
        {"device": "tpu"},
        {"dtype": "int4"},
        {"quantization": "4bit"},
        {"batch_size": 0},
    ],
)
def test_settings_that_do_not_exist(change: dict[str, str]) -> None:
    """A value that does not exist is refused before anything is read."""
    with pytest.raises(SettingError, match=str(next(iter(change.values())))):
        resolve(RunRequest("m", OUT, **change))  # type: ignore[arg-type]

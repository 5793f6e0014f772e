"""How a reference is loaded that judges a run."""

from pathlib import Path

import pytest

from benchmark.prompts.settings import PromptSettings
from benchmark.runs import certify
from benchmark.runs.certify import CertificateRequest, RunSettings
from benchmark.tasks import DEFAULT, task_named


@pytest.mark.parametrize(
    ("device", "dtype", "quantization"),
    [
        ("cuda", None, "8bit"),
        ("cuda", "float16", "8bit"),
        ("cuda", "float32", None),
        ("cpu", None, None),
    ],
)
def test_the_reference_is_quantized_as_the_run(
    monkeypatch: pytest.MonkeyPatch, device: str, dtype: str | None, quantization: str | None
) -> None:
    """It is on a GPU, in the run's dtype; otherwise the difference is said."""
    monkeypatch.setattr(certify, "resolve_device", lambda _: device)
    monkeypatch.setattr(certify, "check_options", lambda options: options)
    settings = RunSettings(
        task_named(DEFAULT), "vllm", PromptSettings(), 100, "float16", "8bit", "", finished=True
    )
    options = certify._options(CertificateRequest(Path("run"), "model", dtype=dtype), settings)
    assert (options.dtype, options.quantization) == (dtype or "float16", quantization)
    said = list(certify._reservations(settings, options))
    assert bool(said) is (quantization is None)

"""Stage ``environment``: what the figures of the other stages depend on."""

import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from benchmark.decoding.speculative.attention import ScoreParameters
from benchmark.decoding.speculative.attention_plans import HeadCounts
from benchmark.decoding.speculative.flash_choice import FLASH, LayerKind, attention_choice
from benchmark.gpu_proof.plan import Context
from benchmark.gpu_proof.report import StageReport
from benchmark.models.gpus import product_settings

_LIBRARIES = (
    *("torch", "transformers", "tokenizers", "huggingface_hub", "accelerate", "safetensors"),
    *("outlines", "outlines_core", "bitsandbytes", "numpy", "pydantic"),
)

_KINDS = {
    "heads of 64": (HeadCounts(8, 1), 64, None),
    "heads of 128, grouped": (HeadCounts(8, 4), 128, None),
    "heads of 256, multi-query": (HeadCounts(1, 8), 256, None),
    "heads of 128, window": (HeadCounts(8, 4), 128, 4),
}
"""Kinds of layers: heads, size of a head, window."""


def environment(context: Context, report: StageReport) -> None:
    """Record versions and the card, and try the flash kernel on several kinds of layers."""
    report.figure(
        python=platform.python_version(),
        libraries={name: _version(name) for name in _LIBRARIES},
        schema=str(torch.ops.aten._flash_attention_forward.default._schema),  # noqa: SLF001
        **product_settings(),
    )
    if not context.rehearsal:
        card = torch.cuda.get_device_properties(0)
        free, total = torch.cuda.mem_get_info(0)
        report.figure(
            card=card.name,
            capability=f"{card.major}.{card.minor}",
            memory_gb=round(total / 1e9, 1),
            free_gb=round(free / 1e9, 1),
        )
    names = {kind: _kernel(context.device, *row) for kind, row in _KINDS.items()}
    report.figure(attention=names)
    expected = [None] if context.rehearsal else [FLASH]
    for kind, name in names.items():
        report.check(f"attention of {kind} is as expected here", name in expected)


def _kernel(device: str, heads: HeadCounts, width: int, window: int | None) -> str | None:
    parameters = ScoreParameters(width**-0.5, None, window)
    kind = LayerKind(torch.device(device), torch.bfloat16, heads, width, parameters)
    return attention_choice(kind).name


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

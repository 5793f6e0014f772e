"""Recognizing errors of a lack of memory."""

import pytest
import torch

from benchmark.models.memory_errors import is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate`"),
        ValueError("The current `device_map` had weights offloaded to the disk, which needed"),
        ValueError("Some modules are dispatched on the CPU or the disk. Make sure you have enough"),
    ],
)
def test_lack_of_memory(error: Exception) -> None:
    """Errors of torch, CUDA and transformers about a lack of memory are recognized."""
    assert is_out_of_memory(error)


def test_the_real_error_of_a_cpu() -> None:
    """The real error of torch on a CPU is recognized."""
    with pytest.raises(RuntimeError) as real:
        torch.empty(10**16)
    assert is_out_of_memory(real.value)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shapes"),
        ValueError("x"),
        KeyError(),
        ValueError("offload_config: unknown key in config.json"),
        RuntimeError("cannot load model.offloader.weight"),
    ],
)
def test_other_errors(error: Exception) -> None:
    """Other errors are not errors of memory."""
    assert not is_out_of_memory(error)

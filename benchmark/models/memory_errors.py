"""Telling an allocation that failed from other errors."""

_MESSAGES = (
    "DefaultCPUAllocator",  # names itself in what torch raises on a CPU, a plain RuntimeError
    "CUDA error: out of memory",  # as do CUDA and its libraries, where others fill the GPU
    "CUBLAS_STATUS_ALLOC_FAILED",
    "dispatched on the CPU or the disk",  # what transformers says when the GPUs named are full
    "offload",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch could not allocate what it needed, on a GPU or on a CPU."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError | ValueError) and any(m in str(error) for m in _MESSAGES)

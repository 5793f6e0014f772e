"""Telling an allocation that failed from other errors."""

_CPU_ALLOCATOR = "DefaultCPUAllocator"
"""Names itself in what torch raises on a CPU: a plain RuntimeError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch could not allocate what it needed, on a GPU or on a CPU."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and _CPU_ALLOCATOR in str(error)

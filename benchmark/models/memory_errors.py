"""Tell failed allocations from other errors."""

_MESSAGES = (
    "DefaultCPUAllocator",  # in torch's RuntimeError on a CPU
    "CUDA error: out of memory",  # of CUDA and its libraries, if other processes fill the GPU
    "CUBLAS_STATUS_ALLOC_FAILED",
    "dispatched on the CPU or the disk",  # of transformers, if the given GPUs are full
    "offload",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the error is a failed allocation of torch, on a GPU or on a CPU."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError | ValueError) and any(m in str(error) for m in _MESSAGES)

"""Tell failed allocations from other errors."""

_MESSAGES = (
    "DefaultCPUAllocator",  # in torch's RuntimeError on a CPU
    "CUDA error: out of memory",  # of CUDA and its libraries, if other processes fill the GPU
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",  # of a full GPU, on which cuBLAS finds no room for itself
    "CUDNN_STATUS_ALLOC_FAILED",
    "dispatched on the CPU or the disk",  # of transformers, if the given GPUs are full
    "weights offloaded to the disk",
    "offload the whole model to the disk",  # of accelerate
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the error is a failed allocation of torch, on a GPU or on a CPU."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError | ValueError) and any(m in str(error) for m in _MESSAGES)

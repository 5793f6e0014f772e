"""Copies of index lists to the device of a pass, for which the host does not wait."""

import torch


def on_device(
    values: object, device: torch.device, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Return numbers as a tensor on a device.

    ``torch.tensor(values, device="cuda")`` waits until the GPU has done all that was queued before.
    A copy from pinned memory is queued like any other work.
    """
    tensor = torch.as_tensor(values, dtype=dtype)
    return tensor if device.type == "cpu" else _pinned(tensor).to(device, non_blocking=True)


def _pinned(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.pin_memory()

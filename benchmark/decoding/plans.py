"""What a pass writes and reads, as indices on a device: the same for all layers."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from benchmark.decoding.attention import Mask
from benchmark.decoding.batch import Batch, Span
from benchmark.decoding.pace import Pace


@dataclass(frozen=True, slots=True)
class Group:
    """Rows whose queries are attended together, padded to the longest.

    Attributes:
        slots: the slots looked at, one next to the other.
        length: how many tokens of them.
        take: which token of the pass is the query at each place, shape (slots * places,).
        shape: how many slots, and places in each.
        keep: which queries are not padding, as indices into ``take``.
        mask: what queries do not see of it.
    """

    slots: slice
    length: int
    take: torch.Tensor
    shape: tuple[int, int]
    keep: torch.Tensor
    mask: Mask


@dataclass(frozen=True, slots=True)
class Plan:
    """A pass as indices.

    Attributes:
        sources: the tokens whose keys and values are written, shape (writes,).
        slots: the slots they are written to, shape (writes,).
        positions: and where in these, shape (writes,).
        groups: who is attended together.
        order: the tokens in their order, as indices into the groups' one after the other.
        prefix_mask: what the tokens do not see of the prefix; None where they see all of it.
    """

    sources: torch.Tensor
    slots: torch.Tensor
    positions: torch.Tensor
    groups: list[Group]
    order: torch.Tensor
    prefix_mask: Mask | None


def plan(batch: Batch, pace: Pace, window: int | None, device: torch.device) -> Plan:
    """The plan of a batch for layers that see ``window`` tokens, or all where that is None."""
    bundles = _bundles(batch.spans, pace)
    places = [i for spans in bundles for s in spans for i in range(s.start, s.start + s.length)]
    sources, slots, positions = torch.tensor(batch.writes, device=device).unbind(1)
    prefix_mask = None
    if window is not None and max(batch.positions) >= window:
        asking = torch.tensor([batch.positions], device=device)
        prefix_mask = Mask(seen(asking, batch.prefix, window))
    return Plan(
        sources,
        slots,
        positions,
        [_group(spans, window, device) for spans in bundles],
        torch.tensor(sorted(range(len(places)), key=places.__getitem__), device=device),
        prefix_mask,
    )


def seen(places: torch.Tensor, length: int, window: int | None) -> torch.Tensor:
    """Which of the first ``length`` places each place sees, shape (..., length)."""
    back = places[..., None] - torch.arange(length, device=places.device)
    return back >= 0 if window is None else (back >= 0) & (back < window)


def _bundles(spans: Sequence[Span], pace: Pace) -> list[list[Span]]:
    """Rows with few tokens together with their neighbours, rows with many by themselves."""
    together: defaultdict[int, list[Span]] = defaultdict(list)
    apart: list[list[Span]] = []
    for span in spans:
        if span.length > pace.few:
            apart.append([span])
        else:
            together[span.slot // pace.neighbours].append(span)
    return [*together.values(), *apart]


def _group(spans: Sequence[Span], window: int | None, device: torch.device) -> Group:
    """The spans padded, with the slots between theirs, which are asked nothing."""
    first, last = min(span.slot for span in spans), max(span.slot for span in spans)
    slots, places = last + 1 - first, max(span.length for span in spans)
    # Padding asks about the first token of the pass at the first place: anything would do.
    take, where = ([0] * (slots * places) for _ in range(2))
    keep: list[int] = []
    for slot, start, length, position in spans:
        at = (slot - first) * places
        take[at : at + length] = range(start, start + length)
        where[at : at + length] = range(position, position + length)
        keep.extend(range(at, at + length))
    longest = max(span.position + span.length for span in spans)
    located = torch.tensor(where, device=device).view(slots, places)
    return Group(
        slice(first, last + 1),
        longest,
        torch.tensor(take, device=device),
        (slots, places),
        torch.tensor(keep, device=device),
        Mask(seen(located, longest, window)),
    )

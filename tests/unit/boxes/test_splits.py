"""Train, dev and test: their sizes, and that they share no signature."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import chisquare

from benchmark.boxes import splits
from benchmark.boxes.draws import Draws
from benchmark.errors import SettingError

EVERY = set(product(range(4), repeat=7))


def cut(seed: int) -> dict[str, frozenset[splits.Signature]]:
    """The signatures of each split, shuffled from a seed."""
    return splits.signatures(Draws(np.random.Generator(np.random.PCG64(seed))))


@pytest.mark.parametrize(
    ("split", "size", "first"), [("train", 990, 0), ("dev", 220, 990), ("test", 990, 1210)]
)
def test_splits_have_the_sizes_of_the_original(split: str, size: int, first: int) -> None:
    """2,200 sequences are cut 990, 220, 990, and numbered one split after another."""
    assert splits.size(split) == size
    assert splits.first_sample_id(split) == first


@pytest.mark.parametrize("ask", [splits.size, splits.first_sample_id])
def test_unknown_split_is_refused_with_the_choices(ask: object) -> None:
    """A split that does not exist is named beside those that do."""
    assert callable(ask)
    with pytest.raises(SettingError) as error:
        ask("validation")
    assert str(error.value) == "there is no split 'validation'; choose one of train, dev, test"


def test_signature_counts_the_objects_of_each_box() -> None:
    """A signature is the number of objects by box, whatever the objects."""
    world = (("bag", "map"), (), ("a", "b", "c"), (), (), (), ("car",))
    assert splits.signature(world) == (2, 0, 3, 0, 0, 0, 1)


@pytest.mark.parametrize("seed", range(3))
def test_signatures_are_cut_into_disjoint_splits(seed: int) -> None:
    """Each of the 4^7 signatures is in exactly one split, 45, 10 and 45 per cent of them."""
    found = cut(seed)
    assert list(found) == ["train", "dev", "test"]
    assert sum(map(len, found.values())) == len(EVERY) == 16384
    assert set().union(*found.values()) == EVERY
    for name, share in [("train", 0.45), ("dev", 0.10), ("test", 0.45)]:
        assert abs(len(found[name]) - share * 16384) <= 1


def test_signatures_depend_on_the_draws_alone() -> None:
    """The same draws cut the same way, other draws another way."""
    assert cut(1) == cut(1)
    assert cut(1)["dev"] != cut(2)["dev"]


def test_every_kind_of_signature_is_in_every_split() -> None:
    """The cut is random: how full the boxes are says nothing about the split (level 1e-4)."""
    found = cut(4)
    totals = [[sum(signature) for signature in found[name]] for name in ("train", "dev", "test")]
    every = np.bincount([sum(signature) for signature in EVERY], minlength=22)
    bins = [range(8), *([total] for total in range(8, 14)), range(14, 22)]
    for total in totals:
        counts = np.bincount(total, minlength=22)
        observed = [counts[list(part)].sum() for part in bins]
        expected = np.array([every[list(part)].sum() for part in bins]) * len(total) / 16384
        assert chisquare(observed, expected).pvalue > 1e-4

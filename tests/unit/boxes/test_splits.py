"""Train, dev and test: their sizes, and that they share no signature."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import chisquare

from benchmark.boxes import splits
from benchmark.boxes.portable_random import PortableRandom
from benchmark.errors import SettingError

EVERY = set(product(range(4), repeat=7))


def cut(seed: int) -> dict[str, frozenset[splits.Signature]]:
    """Return the signatures of each split, shuffled from a seed."""
    return splits.signatures(PortableRandom(np.random.Generator(np.random.PCG64(seed))))


@pytest.mark.parametrize(
    ("split", "size", "first"), [("train", 990, 0), ("dev", 220, 990), ("test", 990, 1210)]
)
def test_splits_have_the_sizes_of_the_original(split: str, size: int, first: int) -> None:
    """2,200 sequences are cut 990, 220, 990, and numbered one split after another."""
    assert splits.size(split) == size
    assert splits.first_sample_id(split) == first


@pytest.mark.parametrize("ask", [splits.size, splits.first_sample_id])
def test_unknown_split_is_refused_with_the_choices(ask: object) -> None:
    """The error for an unknown split lists the known ones."""
    assert callable(ask)
    with pytest.raises(SettingError) as error:
        ask("validation")
    assert str(error.value) == "unknown split 'validation'; choose one of train, dev, test"


def test_signature_counts_the_objects_of_each_box() -> None:
    """A signature is the number of objects by box, for any objects."""
    world = (("bag", "map"), (), ("a", "b", "c"), (), (), (), ("car",))
    assert splits.signature(world) == (2, 0, 3, 0, 0, 0, 1)


@pytest.mark.parametrize("seed", range(3))
def test_signatures_are_cut_into_disjoint_splits(seed: int) -> None:
    """Each of the 4^7 signatures is in exactly one split, 45, 10 and 45 per cent of them."""
    result = cut(seed)
    assert list(result) == ["train", "dev", "test"]
    assert sum(map(len, result.values())) == len(EVERY) == 16384
    assert set().union(*result.values()) == EVERY
    for name, share in [("train", 0.45), ("dev", 0.10), ("test", 0.45)]:
        assert abs(len(result[name]) - share * 16384) <= 1


def test_signatures_depend_on_the_draws_alone() -> None:
    """Equal draws yield equal splits, and different draws different splits."""
    assert cut(1) == cut(1)
    assert cut(1)["dev"] != cut(2)["dev"]


def test_every_kind_of_signature_is_in_every_split() -> None:
    """The cut is random: how full the boxes are says nothing about the split (level 1e-4)."""
    result = cut(4)
    totals = [[sum(signature) for signature in result[name]] for name in ("train", "dev", "test")]
    every = np.bincount([sum(signature) for signature in EVERY], minlength=22)
    bins = [range(8), *([total] for total in range(8, 14)), range(14, 22)]
    for total in totals:
        counts = np.bincount(total, minlength=22)
        observed = [counts[list(part)].sum() for part in bins]
        expected = np.array([every[list(part)].sum() for part in bins]) * len(total) / 16384
        assert chisquare(observed, expected).pvalue > 1e-4

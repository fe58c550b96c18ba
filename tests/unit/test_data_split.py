import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bsconv_nas.base.text import listed, printable
from bsconv_nas.data.split import test_mask as split_test_mask
from bsconv_nas.data.split import validation_mask
from bsconv_nas.errors import DataError


def _case(counts: list[int]) -> tuple[list[str], np.ndarray, list[str]]:
    labels = np.repeat(np.arange(len(counts)), counts)
    return [f"{label}/{row}.png" for row, label in enumerate(labels)], labels, [f"c{i}" for i in range(len(counts))]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(2, 60), min_size=2, max_size=6))
def test_validation_takes_a_fifth_of_each_class_and_leaves_some(counts: list[int]):
    names, labels, classes = _case(counts)
    taken = np.bincount(labels[validation_mask(names, labels, classes)], minlength=len(counts))
    for count, held_out in zip(counts, taken, strict=True):
        assert 1 <= held_out < count
        assert abs(held_out - 0.2 * count) <= max(0.5, 1 - 0.2 * count)


def test_a_large_train_part_holds_out_a_tenth():
    names, labels, classes = _case([10_000, 10_000])
    taken = np.bincount(labels[validation_mask(names, labels, classes)])
    assert taken.tolist() == [1000, 1000]
    names, labels, classes = _case([10_000, 9_999])
    assert np.bincount(labels[validation_mask(names, labels, classes)]).tolist() == [2000, 2000]


@pytest.mark.parametrize("split", [split_test_mask, lambda n, y: validation_mask(n, y, ["a", "b"])])
def test_splits_do_not_depend_on_the_order(split):
    names, labels, _ = _case([30, 17])
    expected = {name for name, taken in zip(names, split(names, labels), strict=True) if taken}
    shuffle = np.random.default_rng(0).permutation(len(names))
    shuffled = [names[i] for i in shuffle]
    assert {n for n, taken in zip(shuffled, split(shuffled, labels[shuffle]), strict=True) if taken} == expected


def test_splits_are_the_recorded_ones():
    """A change here changes every user's validation images: raise FORMAT_VERSION."""
    names, labels, classes = _case([10, 10])
    assert np.flatnonzero(validation_mask(names, labels, classes)).tolist() == [2, 5, 12, 14]
    assert np.flatnonzero(split_test_mask(names, labels)).tolist() == [2, 3, 17, 19]


def test_adding_an_image_moves_at_most_one_other():
    names, labels, classes = _case([40, 40])
    before = {n for n, held in zip(names, validation_mask(names, labels, classes), strict=True) if held}
    names, labels = [*names, "0/new.png"], np.append(labels, 0)
    after = {n for n, held in zip(names, validation_mask(names, labels, classes), strict=True) if held}
    assert len(before - after) <= 1


@pytest.mark.parametrize(("count", "taken"), [(1, 0), (2, 0), (3, 1), (7, 1), (8, 2), (100, 20)])
def test_the_test_part_leaves_two_images(count: int, taken: int):
    names, labels, _ = _case([count, 50])
    assert np.count_nonzero(split_test_mask(names, labels)[:count]) == taken


def test_a_class_with_one_image_is_refused():
    names, labels, classes = _case([1, 5, 0])
    with pytest.raises(DataError, match=r"class 'c0' has 1, 'c2' has 0; at least 2 are needed"):
        validation_mask(names, labels, classes)


def test_names_in_messages_are_one_line_and_few():
    assert printable("Kätzchen 猫 a\nb\udcff") == "Kätzchen 猫 a\\nb\\udcff"
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"

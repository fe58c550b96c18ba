import numpy as np
import pytest

from bsconv_nas.data import ImageData, caveats
from bsconv_nas.data.images import image_data


def data(held_out: list[int], classes: int) -> ImageData:
    """One training image, and so many held out of each of the first classes."""
    val_labels = np.repeat(np.arange(len(held_out)), held_out)
    labels = np.concatenate([[0], val_labels])
    images = np.zeros((len(labels), 8, 8, 3), np.uint8)
    return image_data("made up", images, labels, 1, tuple(f"kind {n}" for n in range(classes)), "")


def test_many_images_of_equal_classes_need_no_word():
    assert caveats(data([20] * 10, 10)) == []


def test_few_images_say_how_little_an_accuracy_tells():
    (line,) = caveats(data([10] * 10, 10))
    assert "with 100 held-out images an accuracy of 80 % may be one of 71 to 87 %" in line


@pytest.mark.parametrize(
    ("held_out", "classes", "share"),
    [
        ([150, 450], 2, "75.0"),  # of two, half would be right by chance
        ([300, 300, 300, 900], 4, "50.0"),
        ([90] * 9 + [390], 10, "32.5"),
    ],
)
def test_a_common_class_is_named_with_what_always_naming_it_would_score(held_out: list[int], classes: int, share: str):
    (line,) = caveats(data(held_out, classes))
    name = f"kind {np.argmax(held_out)}"
    assert line == f"always answering {name!r} would be right for {share} % of the held-out images"


@pytest.mark.parametrize(
    ("held_out", "classes"),
    [([200, 400], 2), ([300, 300, 300, 800], 4), ([90] * 9 + [300], 10), ([10] * 99 + [200], 100)],
)
def test_a_class_that_is_only_a_little_more_common_needs_no_word(held_out: list[int], classes: int):
    assert caveats(data(held_out, classes)) == []

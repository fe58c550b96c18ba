"""What to know of images before an accuracy on them is believed."""

import numpy as np

from bsconv_nas.base.text import printable
from bsconv_nas.data.images import ImageData
from bsconv_nas.statistics.intervals import binomial_interval

_FEW = 200  # held-out images; with so many an accuracy of 80 % is one of 74 to 85 %
_COMMON = 0.75  # a class with this share of the images is mentioned, even if there are only two classes
_NOTABLE = 0.3  # a class with less than this share is never mentioned


def caveats(data: ImageData) -> list[str]:
    """Sentences about held-out images that are few, or mostly of one class; none where all is well."""
    count = len(data.val_labels)
    sentences: list[str] = []
    if count < _FEW:
        low, high = binomial_interval(0.8, count)
        sentences.append(
            f"with {count} held-out images an accuracy of 80 % may be one of {100 * low:.0f} to {100 * high:.0f} %; "
            "more images would tell networks apart better"
        )
    images = np.bincount(data.val_labels, minlength=data.num_classes)
    share = float(images.max()) / count
    if share >= min(_COMMON, max(_NOTABLE, 2 / data.num_classes)):
        name = printable(data.classes[int(images.argmax())])
        sentences.append(f"always answering {name!r} would be right for {100 * share:.1f} % of the held-out images")
    return sentences

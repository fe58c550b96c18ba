"""The image size that suits a folder of images, from the headers of a sample."""

import os
import statistics
import warnings
from collections.abc import Sequence
from pathlib import Path

from bsconv_nas.data.decode import UnreadableImageError, shape_of
from bsconv_nas.data.listing import ImageFile
from bsconv_nas.data.options import MIN_IMAGE_SIZE

SIZES = (32, 48, 64, 96, 128, 160, 192, 224)
_MAX_NATIVE_SIZE = 64
_SAMPLE = 200


def choose_image_size(root: Path, files: Sequence[ImageFile]) -> int:
    """Side in pixels: that of the images if all are squares of one size up to 64, else a step of `SIZES`.

    The step is the largest that is not above the median shorter side, and 32 if there is none. Looks at no more than
    200 images, evenly spread over the sorted files; unreadable ones are left for the decoding to report.
    """
    shapes: set[tuple[int, int]] = set()
    sides: list[int] = []
    step = -(-len(files) // _SAMPLE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file in files[::step]:
            try:
                shape = shape_of(os.path.join(root, file.path)) if file.size >= 0 else None
            except UnreadableImageError:
                continue
            if shape is not None:
                shapes.add(shape)
                sides.append(min(shape))
    if not sides:
        return SIZES[0]
    width, height = next(iter(shapes))
    if len(shapes) == 1 and width == height and MIN_IMAGE_SIZE <= width <= _MAX_NATIVE_SIZE:
        return width
    median = statistics.median(sides)
    return max((size for size in SIZES if size <= median), default=SIZES[0])

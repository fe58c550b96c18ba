"""Small folders of images for the tests of `bsconv_nas.data`."""

from pathlib import Path

import numpy as np
from PIL import Image


def save_image(path: Path, seed: int = 0, size: tuple[int, int] = (32, 32), **options: object) -> None:
    """Write an image of noise, (width, height), in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)


def save_class(folder: Path, count: int, first_seed: int = 0, suffix: str = ".png") -> None:
    for number in range(count):
        save_image(folder / f"{number:03d}{suffix}", first_seed + number)


def make_folder(root: Path, parts: tuple[str, ...] = ("train", "test"), count: int = 10) -> Path:
    """Two classes, `count` images each, in each of the parts ("." for none)."""
    for number, part in enumerate(parts):
        for label, name in enumerate(("cat", "dog")):
            save_class(root / part / name, count, first_seed=1000 * number + 100 * label)
    return root


def rows(images: np.ndarray) -> set[bytes]:
    """Each image as bytes, to compare sets of images."""
    return {image.tobytes() for image in images}

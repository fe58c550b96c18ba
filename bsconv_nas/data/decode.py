"""One image file to one square RGB array."""

import os
import struct
import zlib
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bsconv_nas.data.images import Images

# An explicit list: a file's first bytes must not choose a rarely used decoder (PostScript, PSD, ...).
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
# Where Pillow starts to warn of decompression bombs: a quarter of a gigabyte as RGB.
MAX_PIXELS = 89_478_485
MAX_FILE_BYTES = 2**29

# Every type of error that Pillow was seen to raise on damaged files.
_PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class UnreadableImageError(Exception):
    """An image that cannot be decoded; the text is the reason."""


def decode_image(path: str, image_size: int) -> Images:
    """Decode a file: turned upright (EXIF), RGB, shorter side resized to `image_size`, centre square.

    An image that already has the size keeps its pixels. Transparent pixels are laid over white; deep grey (16 bit)
    is scaled to 8 bit; of an animation, the first frame.

    Returns:
        uint8 (image_size, image_size, 3).

    Raises:
        UnreadableImageError: damaged, truncated, no image, over 89 million pixels, or over 512 MiB.
    """
    try:
        with Image.open(BytesIO(_content(path)), formats=FORMATS) as image:
            _refuse_bomb(image)
            # libjpeg then decodes at 1/2, 1/4 or 1/8 scale; twice the final size loses nothing visible.
            image.draft(None, (2 * image_size, 2 * image_size))
            image.load()
            _turn_upright(image)
            return np.asarray(square(_as_rgb(image), image_size))
    except _PILLOW_ERRORS as error:
        raise UnreadableImageError(_reason(error)) from error


def shape_of(path: str) -> tuple[int, int]:
    """(width, height) from the header alone, before EXIF rotation.

    Raises:
        UnreadableImageError: no image.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.size
    except _PILLOW_ERRORS as error:
        raise UnreadableImageError(_reason(error)) from error


def square(image: Image.Image, image_size: int) -> Image.Image:
    """Centre square of an image, resized with antialiasing; the image itself if it has that size."""
    width, height = image.size
    if width == height == image_size:
        return image
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((image_size, image_size), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)


def _content(path: str) -> bytes:
    """A file in one read: Pillow's many small ones make threads wait for each other (small images: 1.6 x the time)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(handle).st_size
        if size > MAX_FILE_BYTES:
            raise ValueError(f"{size} bytes, over the limit of {MAX_FILE_BYTES}")
        return os.read(handle, size)
    finally:
        os.close(handle)


def _refuse_bomb(image: Image.Image) -> None:
    # Pillow only warns here, and warnings cannot be turned into errors for one thread alone.
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels, over the limit of {MAX_PIXELS}")


def _turn_upright(image: Image.Image) -> None:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except _PILLOW_ERRORS:
        return  # Damaged EXIF data does not make the pixels unreadable.


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_deep_to_8_bit(np.asarray(image), image.mode)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _deep_to_8_bit(pixels: NDArray[np.generic], mode: str) -> NDArray[np.uint8]:
    """Integers span 0 to 65535; floats span 0 to 1, or 0 to 255 if any is above 1."""
    values = np.nan_to_num(pixels.astype(np.float64))
    if mode != "F":
        values = values / 257
    elif values.max() <= 1:
        values = values * 255
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image of a known format"
    return " ".join(str(error).split()) or type(error).__name__

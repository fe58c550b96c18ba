import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bsconv_nas.data import decode
from bsconv_nas.data.decode import UnreadableImageError, decode_image, shape_of
from bsconv_nas.data.decode_all import decode_all
from tests.unit.data_helpers import save_image


def test_an_image_that_has_the_size_keeps_its_pixels(tmp_path: Path):
    save_image(tmp_path / "a.png", seed=3)
    expected = np.asarray(Image.open(tmp_path / "a.png"))
    assert np.array_equal(decode_image(str(tmp_path / "a.png"), 32), expected)


@pytest.mark.parametrize("suffix", sorted(decode.SUFFIXES))
def test_every_known_suffix_is_decoded(tmp_path: Path, suffix: str):
    path = tmp_path / f"a{suffix}"
    image = Image.new("L" if suffix == ".pgm" else "RGB", (20, 16), 200 if suffix == ".pgm" else (200, 200, 200))
    image.save(path)
    decoded = decode_image(str(path), 8)
    assert decoded.shape == (8, 8, 3)
    assert decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - 200).max() <= 2


def _grey16(value: int) -> Image.Image:
    return Image.fromarray(np.full((8, 8), value, dtype=np.uint16))


@pytest.mark.parametrize(
    ("image", "name", "expected"),
    [
        (Image.new("1", (8, 8), 1), "a.png", (255, 255, 255)),
        (Image.new("L", (8, 8), 90), "a.png", (90, 90, 90)),
        (Image.new("LA", (8, 8), (0, 0)), "a.png", (255, 255, 255)),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 255)), "a.png", (255, 0, 0)),
        (Image.new("RGBA", (8, 8), (0, 0, 0, 51)), "a.png", (204, 204, 204)),
        (Image.new("RGB", (8, 8), (10, 200, 30)).convert("P"), "a.gif", None),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "a.tif", (255, 0, 0)),
        (_grey16(65535), "a.png", (255, 255, 255)),
        (_grey16(100 * 257), "a.tif", (100, 100, 100)),
        (Image.new("I", (8, 8), 50 * 257), "a.tif", (50, 50, 50)),
        (Image.new("F", (8, 8), 0.2), "a.tif", (51, 51, 51)),
        (Image.new("F", (8, 8), 300.0), "a.tif", (255, 255, 255)),
    ],
)
def test_every_mode_becomes_rgb(tmp_path: Path, image: Image.Image, name: str, expected: tuple[int, int, int] | None):
    image.save(tmp_path / name)
    decoded = decode_image(str(tmp_path / name), 8)
    assert decoded.shape == (8, 8, 3)
    if expected is not None:
        assert (decoded == expected).all()


def test_a_transparent_palette_colour_becomes_white(tmp_path: Path):
    image = Image.new("P", (8, 8), 0)
    image.putpalette([255, 0, 0] + [0] * 765)
    image.save(tmp_path / "a.gif", transparency=0)
    assert (decode_image(str(tmp_path / "a.gif"), 8) == 255).all()


def test_exif_rotation_is_applied(tmp_path: Path):
    image = Image.new("RGB", (16, 16), "black")
    image.paste("white", (0, 0, 16, 8))  # white above
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise: white on the right
    image.save(tmp_path / "a.png", exif=exif)
    decoded = decode_image(str(tmp_path / "a.png"), 16)
    assert (decoded[:, 8:] == 255).all()
    assert (decoded[:, :8] == 0).all()


def test_damaged_exif_is_ignored(tmp_path: Path):
    save_image(tmp_path / "a.jpg", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff\x01")
    assert decode_all([str(tmp_path / "a.jpg")], 32, lambda images: None, None) == {}


@pytest.mark.parametrize("size", [(60, 20), (20, 60)])
def test_the_centre_square_is_taken(tmp_path: Path, size: tuple[int, int]):
    image = Image.new("RGB", size, "black")
    left, top = (size[0] - 20) // 2, (size[1] - 20) // 2
    image.paste("white", (left, top, left + 20, top + 20))
    image.save(tmp_path / "a.png")
    decoded = decode_image(str(tmp_path / "a.png"), 10)
    assert (decoded[1:-1, 1:-1] == 255).all()
    assert decoded.min() > 200  # the border averages in a little of what is outside


def test_shrinking_averages_pixels(tmp_path: Path):
    stripes = np.zeros((256, 256, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "a.png")
    assert np.abs(decode_image(str(tmp_path / "a.png"), 8).astype(int) - 127).max() <= 3


def test_large_jpegs_are_decoded_at_a_reduced_scale_with_the_same_look(tmp_path: Path):
    ramp = np.linspace(0, 255, 512).astype(np.uint8)
    Image.fromarray(np.repeat(np.tile(ramp, (512, 1))[..., None], 3, axis=2)).save(tmp_path / "a.jpg", quality=95)
    Image.open(tmp_path / "a.jpg").save(tmp_path / "a.png")
    from_jpeg, from_png = (decode_image(str(tmp_path / name), 16).astype(int) for name in ("a.jpg", "a.png"))
    assert np.abs(from_jpeg - from_png).max() <= 4


def _png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", b"\xff\xd8\xff\xe0", b"GIF89a\x01", _png_header(9000, 9999), _png_header(60000, 60000), b"P6 9"],
)
def test_what_is_no_image_is_unreadable(tmp_path: Path, content: bytes):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UnreadableImageError):
        decode_image(str(tmp_path / "a.png"), 32)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm"])
def test_a_truncated_image_is_unreadable(tmp_path: Path, suffix: str):
    path = tmp_path / f"a{suffix}"
    save_image(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UnreadableImageError):
        decode_image(str(path), 32)


def test_pixel_and_file_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_image(tmp_path / "a.png")
    monkeypatch.setattr(decode, "MAX_PIXELS", 1023)
    with pytest.raises(UnreadableImageError, match="32 x 32 pixels, over the limit of 1023"):
        decode_image(str(tmp_path / "a.png"), 32)
    monkeypatch.setattr(decode, "MAX_FILE_BYTES", 10)
    with pytest.raises(UnreadableImageError, match="bytes, over the limit of 10"):
        decode_image(str(tmp_path / "a.png"), 32)


def test_a_missing_file_is_unreadable(tmp_path: Path):
    for read in (shape_of, lambda path: decode_image(path, 32)):
        with pytest.raises(UnreadableImageError, match="No such file"):
            read(str(tmp_path / "a.png"))


def test_many_files_come_in_order_with_their_bad_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bsconv_nas.data.decode_all._BATCH_IMAGES", 4)
    paths: list[str | None] = []
    for number in range(30):
        save_image(tmp_path / f"{number}.png", seed=number)
        paths.append(str(tmp_path / f"{number}.png"))
    paths[7] = None
    paths[21] = str(tmp_path / "missing.png")
    batches: list[np.ndarray] = []
    seen: list[tuple[int, int]] = []
    bad = decode_all(paths, 32, batches.append, lambda done, total: seen.append((done, total)))
    images = np.concatenate(batches)
    assert bad == {7: "not a regular file", 21: "No such file or directory"}
    assert [done for done, _ in seen] == [4, 8, 12, 16, 20, 24, 28, 30]
    assert {total for _, total in seen} == {30}
    for number, path in enumerate(paths):
        expected = 0 if number in bad else np.asarray(Image.open(str(path)))
        assert (images[number] == expected).all()


def test_a_failing_writer_ends_the_decoding(tmp_path: Path):
    save_image(tmp_path / "a.png")

    def write(images: np.ndarray) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decode_all([str(tmp_path / "a.png")] * 1000, 32, write, None)

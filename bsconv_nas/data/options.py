"""How data is to be loaded: what every loader gets."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bsconv_nas.errors import DataError

MIN_IMAGE_SIZE = 4
MAX_IMAGE_SIZE = 1024

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Options of `load_search_data` and `load_test_data`, checked.

    Args:
        image_size: side of the square images in pixels, 4 to 1024; None: the data set's own.
        cache_dir: folder of the decoded arrays; None: `$XDG_CACHE_HOME` or `~/.cache`, then `bsconv-nas/images`.
        download: fetch files of CIFAR or Stanford Dogs that are missing.
        data_dir: folder of downloaded data sets; None: like `cache_dir`, but `bsconv-nas/data`.
        skip_bad_images: leave out images that cannot be read instead of refusing them.
        progress: called with (done, total) images while decoding.

    Raises:
        DataError: an image size that is not an integer from 4 to 1024.
    """

    image_size: int | None = None
    cache_dir: Path | None = None
    download: bool = False
    data_dir: Path | None = None
    skip_bad_images: bool = False
    progress: Progress | None = None

    def __post_init__(self) -> None:
        size: Any = self.image_size
        if size is None:
            return
        if not isinstance(size, int) or isinstance(size, bool) or not MIN_IMAGE_SIZE <= size <= MAX_IMAGE_SIZE:
            raise DataError(
                f"image size is {size!r}; it must be an integer from {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE} pixels; "
                "choose one, or leave it out to take the size of the data"
            )

    @property
    def cache_folder(self) -> Path:
        """Where decoded arrays are."""
        return self.cache_dir.expanduser() if self.cache_dir is not None else user_cache() / "images"

    @property
    def data_folder(self) -> Path:
        """Where downloaded data sets are."""
        return self.data_dir.expanduser() if self.data_dir is not None else user_cache() / "data"


def user_cache() -> Path:
    """Folder of what may be made anew: `$XDG_CACHE_HOME` or `~/.cache`, then `bsconv-nas`."""
    base = os.environ.get("XDG_CACHE_HOME")
    # The XDG specification says to ignore a relative path.
    return (Path(base) if base and os.path.isabs(base) else Path.home() / ".cache") / "bsconv-nas"

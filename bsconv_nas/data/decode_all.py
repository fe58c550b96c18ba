"""Many image files to rows, on all cores and in a fixed order."""

import itertools
import os
import warnings
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from PIL import Image

from bsconv_nas.data.decode import UnreadableImageError, decode_image
from bsconv_nas.data.images import Images
from bsconv_nas.data.options import Progress

_BATCH_IMAGES = 128
_BATCH_BYTES = 8 * 2**20
_MAX_THREADS = 32

_Batch = tuple[Images, dict[int, str]]


def decode_all(
    paths: Sequence[str | None],
    image_size: int,
    write: Callable[[Images], None],
    progress: Progress | None,
) -> dict[int, str]:
    """Decode files and hand their rows to `write` in the order of `paths`, a batch (n, H, W, 3) at a time.

    A path of None stands for something that is no regular file. At most a few batches are in memory.

    Returns:
        row -> reason for each file that could not be decoded; its row is black.
    """
    bad: dict[int, str] = {}
    done = 0
    rows = batch_rows(image_size)
    starts = iter(range(0, len(paths), rows))
    threads = min(_MAX_THREADS, len(os.sched_getaffinity(0)))
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    with _pillow_warnings():
        try:
            waiting: deque[Future[_Batch]] = deque()
            while waiting or done < len(paths):
                for start in itertools.islice(starts, 3 * threads - len(waiting)):
                    waiting.append(pool.submit(_decode_batch, paths[start : start + rows], image_size))
                images, batch_bad = waiting.popleft().result()
                write(images)
                bad.update((done + row, reason) for row, reason in batch_bad.items())
                done += len(images)
                if progress is not None:
                    progress(done, len(paths))
        finally:
            pool.shutdown(cancel_futures=True)
    return bad


def batch_rows(image_size: int) -> int:
    """Images in a batch: many enough to make a task worth its cost, few enough for memory."""
    return max(1, min(_BATCH_IMAGES, _BATCH_BYTES // (3 * image_size**2)))


@contextmanager
def _pillow_warnings() -> Generator[None]:
    """Filters that the threads share: what Pillow says about odd metadata is of no use to the reader of a log."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _decode_batch(paths: Sequence[str | None], image_size: int) -> _Batch:
    images = np.zeros((len(paths), image_size, image_size, 3), dtype=np.uint8)
    bad: dict[int, str] = {}
    for row, path in enumerate(paths):
        if path is None:
            bad[row] = "not a regular file"
            continue
        try:
            images[row] = decode_image(path, image_size)
        except UnreadableImageError as error:
            bad[row] = str(error)
    return images, bad

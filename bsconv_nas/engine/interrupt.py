"""Ctrl-C and SIGTERM end a search cleanly; other work ends without leaving half-written files."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from bsconv_nas.engine.search import JobQueue


@contextmanager
def interruptible(search: JobQueue) -> Generator[None]:
    """Within the block, a signal suspends the search: it ends after the running epochs and stays resumable.

    A second signal raises KeyboardInterrupt. Does nothing outside the main thread, where Python allows no handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if search.suspended:
            raise KeyboardInterrupt
        search.suspend(f"interrupted by {signal.Signals(number).name}")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def terminable() -> Generator[None]:
    """Within the block SIGTERM raises KeyboardInterrupt, as Ctrl-C does, so that half-written files are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

"""Settings of the C library's memory allocator that suit training."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_LARGEST_MMAP_THRESHOLD = 2**25  # HEAP_MAX_SIZE / 2, what older releases allow


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks for the next step instead of returning them to the system.

    Each step of a training allocates the same activations anew; without this every one of them is mapped and zeroed
    by the kernel page by page. Returns whether the allocator is glibc's and took the settings.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(
        [
            mallopt(_M_MMAP_THRESHOLD, 2**30) or mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD),
            mallopt(_M_TRIM_THRESHOLD, 2**31 - 1),
        ]
    )

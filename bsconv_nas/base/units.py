"""Amounts as people write them: `300M` multiply-accumulates, `1h30m` of time."""

import math
import re

from bsconv_nas.errors import UsageError

MACS_LABEL = "MACs (FLOPs as in the mobile literature; PyTorch's counter shows twice this)"

_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)(?:e([+-]?\d{1,2}))?\s*([a-z]?)\s*", re.IGNORECASE)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_amount(text: str, what: str = "amount") -> int:
    """Read a positive amount such as `300M`, `1.5G`, `20k`, `3e8` or `300000000`.

    `what` names the value in the error, for example `--flops`.

    Raises:
        UsageError: not a number, an unknown suffix, or not at least 1.
    """
    match = _AMOUNT.fullmatch(text)
    suffix = match[3].lower() if match else None
    if match is None or suffix not in _SUFFIXES:
        raise UsageError(f"{what} {text!r} is not an amount; write a number with k, M, G or T, for example 300M")
    value = float(match[1]) * 10.0 ** int(match[2] or 0) * _SUFFIXES[suffix]
    if not math.isfinite(value):
        raise UsageError(f"{what} is too large; write for example 300M")
    if value < 1:
        raise UsageError(f"{what} {text!r} must be at least 1; write for example 300M")
    return round(value)


def parse_milliseconds(text: str, what: str) -> float:
    """Read a positive number of milliseconds such as `5`, `0.8` or `2.5ms`.

    Raises:
        UsageError: anything else; `what` names it.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(?:ms)?\s*", text)
    value = float(match[1]) if match else 0.0
    if not 0 < value < math.inf:
        raise UsageError(f"{what} {text!r} is not a positive number of milliseconds; write for example 2.5")
    return value


def counted(number: float, noun: str) -> str:
    """A number of things whose plural ends in s.

    >>> counted(1, "worker"), counted(0.5, "GPU")
    ('1 worker', '0.5 GPUs')
    """
    return f"{number:g} {noun}" if number == 1 else f"{number:g} {noun}s"


def format_amount(value: float) -> str:
    """Write an amount with three significant digits and a suffix: 300 000 000 becomes `300M`.

    >>> format_amount(12_988_938)
    '13.0M'
    """
    if not math.isfinite(value):
        return str(value)
    for suffix, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 0.9995 * scale:
            scaled = value / scale
            digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
            return f"{scaled:.{digits}f}{suffix}"
    return f"{value:g}" if value == int(value) else f"{value:.3g}"


def parse_duration(text: str, what: str = "duration") -> float:
    """Read a duration such as `90s`, `30m`, `1h30m` or a plain number of seconds, in seconds.

    Raises:
        UsageError: not a duration, or not positive.
    """
    compact = text.strip().lower()
    parts = _DURATION_PART.findall(compact)
    if re.fullmatch(r"\d+(\.\d+)?", compact):
        seconds = float(compact)
    elif parts and _DURATION_PART.sub("", compact).strip() == "":
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    else:
        raise UsageError(f"{what} {text!r} is not a duration; write for example 90s, 30m or 1h30m")
    if not 0 < seconds < math.inf:
        raise UsageError(f"{what} {text!r} must be longer than zero and finite; write for example 90s, 30m or 1h30m")
    return seconds


def format_duration(seconds: float) -> str:
    """Write a duration in the two largest units that matter: 5025 s becomes `1h24m`."""
    if not math.isfinite(seconds):
        return str(seconds)
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{int(seconds // 60)}m{int(seconds % 60):02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours < 48 else f"{hours // 24}d{hours % 24:02d}h"

"""The checks of architecture values: each refuses with what it found and what is allowed."""

from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from typing import Any, NoReturn

from bsconv_nas.base.text import did_you_mean
from bsconv_nas.errors import ArchError

ACTIVATIONS = ("relu", "relu6", "hardswish", "silu")
SHORTCUTS = ("none", "identity", "projection")

MAX_CHANNELS = 16_384
MAX_LAYERS = 1_000
MAX_IMAGE_SIZE = 4_096
MAX_KERNEL_SIZE = 31


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        refuse(where, value, "a JSON object")
    return value


def sequence(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        refuse(where, value, "a JSON array")
    return value


def is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_channels(name: str, value: Any) -> None:
    if not is_int(value) or not 1 <= value <= MAX_CHANNELS:
        refuse(name, value, f"a whole number from 1 to {MAX_CHANNELS}")


def check_kernel_size(value: Any) -> None:
    if not is_int(value) or value % 2 == 0 or not 1 <= value <= MAX_KERNEL_SIZE:
        refuse("kernel_size", value, f"an odd number from 1 to {MAX_KERNEL_SIZE}")


def check_stride(value: Any) -> None:
    if not is_int(value) or value not in (1, 2):
        refuse("stride", value, "1 or 2")


def check_bool(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        refuse(name, value, "true or false")


def check_name(what: str, value: Any, known: Collection[str]) -> None:
    if not isinstance(value, str) or value not in known:
        refuse(what, value, did_you_mean(value if isinstance(value, str) else "", known))


def check_activation(value: Any) -> None:
    check_name("activation", value, ACTIVATIONS)


def check_kind(what: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        refuse(what, value, f"a value of type {kind.__name__}")


def check_tuple(what: str, value: Any, kind: type) -> None:
    if not isinstance(value, tuple) or not all(isinstance(item, kind) for item in value):
        refuse(what, value, f"a tuple of {kind.__name__}")


def check_keys(cls: type, data: Mapping[str, Any], where: str) -> None:
    """Refuse keys that the dataclass has no field for, and the lack of those it needs."""
    known = cls.__dataclass_fields__  # type: ignore[attr-defined]
    for key in data:
        if key not in known:
            raise ArchError(f"{where} has an unknown key {shown(key)}; {did_you_mean(key, known)}")
    required = [f.name for f in fields(cls) if f.default is MISSING]
    for key in required:
        if key not in data:
            raise ArchError(f"{where} lacks {key!r}; required: {', '.join(required)}")


def refuse(what: str, value: Any, allowed: str) -> NoReturn:
    raise ArchError(f"{what} is {shown(value)}; allowed: {allowed}")


def shown(value: Any) -> str:
    """The value as short text for an error, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of over 4300 digits, a value nested too deeply
        return f"a {type(value).__name__} too large to show"
    return text if len(text) < 80 else text[:77] + "..."

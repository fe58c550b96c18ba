"""The checks of architecture values: each refuses with what it found and what is allowed."""

from collections.abc import Mapping
from typing import Any, NoReturn

from bsconv_nas.errors import ArchError
from bsconv_nas.units import did_you_mean

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


def check_activation(value: Any) -> None:
    if value not in ACTIVATIONS:
        refuse("activation", value, did_you_mean(str(value), ACTIVATIONS))


def refuse(what: str, value: Any, allowed: str) -> NoReturn:
    text = repr(value)
    raise ArchError(f"{what} is {text if len(text) < 80 else text[:77] + '...'}; allowed: {allowed}")

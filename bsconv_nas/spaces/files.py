"""Search-space files: their format, and where they are found."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from bsconv_nas.base.packaged import packaged_folder
from bsconv_nas.base.text import did_you_mean
from bsconv_nas.base.toml_files import TomlModel, read_toml
from bsconv_nas.errors import UsageError
from bsconv_nas.networks.arch_checks import ACTIVATIONS, MAX_CHANNELS, MAX_IMAGE_SIZE, MAX_KERNEL_SIZE
from bsconv_nas.networks.layer_types import LAYER_TYPES


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _choices(value: tuple[object, ...]) -> tuple[object, ...]:
    if not value:
        raise ValueError("allowed: at least one choice")
    if len(set(value)) != len(value):
        raise ValueError("list each choice once")
    return value


def _conv_label(label: str) -> str:
    layer_type, separator, ratio = label.partition("-")
    if layer_type not in LAYER_TYPES:
        raise ValueError(f"unknown layer type {layer_type!r}; {did_you_mean(layer_type, LAYER_TYPES)}")
    takes_p = LAYER_TYPES[layer_type].takes_p
    if takes_p != bool(separator):
        example = f"{layer_type}-1/4 (with a ratio)" if takes_p else f"{layer_type} (it has no ratio)"
        raise ValueError(f"write {example}")
    if takes_p and (not re.fullmatch(r"[1-9][0-9]{0,2}(/[1-9][0-9]{0,2})?", ratio) or Fraction(ratio) > 1):
        allowed = f"allowed are fractions up to 1, for example {layer_type}-1/4"
        raise ValueError(f"ratio {ratio!r} of {layer_type}: {allowed}")
    if takes_p and ratio != str(Fraction(ratio)):
        raise ValueError(f"write {layer_type}-{Fraction(ratio)}, the ratio in lowest terms")
    return label


def _range(value: tuple[int, int]) -> tuple[int, int]:
    if not 1 <= value[0] <= value[1]:
        raise ValueError("allowed: [least, greatest], both at least 1")
    return value


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("allowed: odd kernel sizes")
    return value


Channels = Annotated[int, Field(ge=1, le=MAX_CHANNELS)]
Kernel = Annotated[int, Field(ge=1, le=MAX_KERNEL_SIZE), AfterValidator(_odd)]
Listed = BeforeValidator(_as_tuple)
Choices = AfterValidator(_choices)


class StemChoices(TomlModel):
    """The first convolution: choices of its width; kernel size and stride are fixed."""

    out_channels: Annotated[tuple[Channels, ...], Listed, Choices]
    kernel_size: Kernel = 3
    stride: Literal[1, 2] = 1


class LayerChoices(TomlModel):
    """Choices of every layer: `conv` labels such as "U" or "S-1/4", kernel sizes, inner normalisation (fixed)."""

    conv: Annotated[tuple[Annotated[str, AfterValidator(_conv_label)], ...], Listed, Choices]
    kernel_size: Annotated[tuple[Kernel, ...], Listed, Choices]
    inner_bn: bool = False


class NetworkChoices(TomlModel):
    """Choices made once for the whole network; dropout before the classifier is fixed."""

    shortcut: Annotated[tuple[Literal["none", "layer", "pair"], ...], Listed, Choices] = ("none",)
    se: Annotated[tuple[bool, ...], Listed, Choices] = (False,)
    activation: Annotated[tuple[Literal[ACTIVATIONS], ...], Listed, Choices] = ("relu",)  # type: ignore[valid-type]
    head_channels: Annotated[tuple[Annotated[int, Field(ge=0, le=MAX_CHANNELS)], ...], Listed, Choices] = (0,)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class StageChoices(TomlModel):
    """A run of layers of one width; the first carries the stride. Depth 0 leaves the stage and its stride out."""

    stride: Literal[1, 2]
    depth: Annotated[tuple[Annotated[int, Field(ge=0, le=64)], ...], Listed, Choices]
    width: Annotated[tuple[Channels, ...], Listed, Choices]
    kernel_size: Annotated[tuple[Kernel, ...], Listed, Choices] | None = None


class SpaceFile(TomlModel):
    """A search space as written in TOML.

    `image_size` is the range of image sizes (pixels) that it is offered for, `usual_size` the one it is made for.
    """

    schema_version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    title: str
    description: str = ""
    image_size: Annotated[tuple[int, int], Listed, AfterValidator(_range)]
    usual_size: Annotated[int, Field(ge=1, le=MAX_IMAGE_SIZE)] | None = None
    stem: StemChoices
    layers: LayerChoices
    network: NetworkChoices = NetworkChoices()
    stages: Annotated[tuple[StageChoices, ...], Listed, Field(min_length=1, max_length=16)]


def space_names() -> list[str]:
    """Names of the spaces that come with the package."""
    return sorted(path.stem for path in packaged_folder("search_spaces").glob("*.toml"))


def find_space(name_or_path: str) -> SpaceFile:
    """Read a space by name (see `space_names`) or by the path of a TOML file.

    Raises:
        UsageError: unknown name, or a file that is not a valid space.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.is_file():
        return read_toml(path, SpaceFile)
    if name_or_path not in space_names():
        hint = did_you_mean(name_or_path, space_names())
        raise UsageError(f"unknown search space {name_or_path!r}; {hint}, or give the path of a .toml file")
    return read_toml(packaged_folder("search_spaces") / f"{name_or_path}.toml", SpaceFile)


def space_for_images(height: int, width: int) -> str:
    """Name of the packaged space made for images of this size, by the shorter side; beyond all, the largest one."""
    side = min(height, width)
    spaces = [find_space(name) for name in space_names()]
    fitting = [space for space in spaces if space.image_size[0] <= side <= space.image_size[1]]
    nearest = fitting or [max(spaces, key=lambda space: space.image_size[1])]
    return min(nearest, key=lambda space: space.image_size[1]).name

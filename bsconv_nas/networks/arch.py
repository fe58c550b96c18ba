"""A network as data: what is built, costed, stored, compared and exported.

An `ArchSpec` is a value. It is checked when it is made, has one canonical JSON text, and its `arch_id` is the hash of
that text, so two equal networks have one identity without anything being built.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, TypeVar

from bsconv_nas.base.files import canonical_json
from bsconv_nas.errors import ArchError
from bsconv_nas.networks.arch_checks import (
    MAX_IMAGE_SIZE,
    MAX_LAYERS,
    SHORTCUTS,
    check_activation,
    check_bool,
    check_channels,
    check_kernel_size,
    check_keys,
    check_kind,
    check_name,
    check_stride,
    check_tuple,
    is_int,
    is_number,
    mapping,
    refuse,
    sequence,
)
from bsconv_nas.networks.layer_types import LAYER_TYPES

SCHEMA_VERSION = 1
_MAX_JSON_CHARACTERS = 1_000_000

_Spec = TypeVar("_Spec", bound="LayerSpec | StemSpec | HeadSpec")


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One layer: the convolutions of its type, batch normalisation, optional squeeze-excitation, activation.

    Args:
        type: a row of `LAYER_TYPES`: "U" (BSConv-U) or "S" (BSConv-S).
        out_channels: 1 to 16384.
        kernel_size: of the depthwise convolution, odd, 1 to 31; padding keeps the size at stride 1.
        stride: 1 or 2, carried by the depthwise convolution.
        p: ratio of BSConv-S, in (0, 1]; None for types without one.
        inner_bn: batch normalisation also between the convolutions of the layer.
        se: squeeze-excitation with reduction 4 after the normalisation.
        activation: one of `ACTIVATIONS`.

    Raises:
        ArchError: a value outside the ranges above.
    """

    type: str
    out_channels: int
    kernel_size: int = 3
    stride: int = 1
    p: float | None = None
    inner_bn: bool = False
    se: bool = False
    activation: str = "relu"

    def __post_init__(self) -> None:
        check_name("layer type", self.type, LAYER_TYPES)
        if LAYER_TYPES[self.type].takes_p:
            if self.p is None or not is_number(self.p) or not 0 < self.p <= 1:
                refuse(f"p of a {self.type} layer", self.p, "a ratio in (0, 1], for example 0.25")
            object.__setattr__(self, "p", float(self.p))  # 1 and 1.0 are one value: they must be one text too
        elif self.p is not None:
            refuse(f"p of a {self.type} layer", self.p, "null: this type has no p")
        check_channels("out_channels", self.out_channels)
        check_kernel_size(self.kernel_size)
        check_stride(self.stride)
        check_bool("inner_bn", self.inner_bn)
        check_bool("se", self.se)
        check_activation(self.activation)

    @property
    def label(self) -> str:
        """Short name of the convolution: `U` or `S-1/4`."""
        return self.type if self.p is None else f"{self.type}-{Fraction(self.p).limit_denominator(1000)}"


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """One or more layers in a row, with an optional shortcut around them.

    With a shortcut the activation of the last layer comes after the addition (as in ResNet). Only the first layer may
    have a stride.

    Raises:
        ArchError: no layer, a stride inside, an unknown shortcut.
    """

    layers: tuple[LayerSpec, ...]
    shortcut: str = "none"

    def __post_init__(self) -> None:
        check_tuple("layers of a block", self.layers, LayerSpec)
        if not self.layers:
            refuse("block", "no layers", "at least one layer")
        if any(layer.stride != 1 for layer in self.layers[1:]):
            refuse("block", "a stride after its first layer", "a stride in the first layer only")
        check_name("shortcut", self.shortcut, SHORTCUTS)

    @property
    def out_channels(self) -> int:
        return self.layers[-1].out_channels

    @property
    def stride(self) -> int:
        return self.layers[0].stride


@dataclass(frozen=True, slots=True)
class StemSpec:
    """The first, ordinary convolution with batch normalisation and activation.

    Raises:
        ArchError: a value outside the ranges of `LayerSpec`.
    """

    out_channels: int
    kernel_size: int = 3
    stride: int = 1
    activation: str = "relu"

    def __post_init__(self) -> None:
        check_channels("stem out_channels", self.out_channels)
        check_kernel_size(self.kernel_size)
        check_stride(self.stride)
        check_activation(self.activation)


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """Optional 1x1 convolution to `channels` (0: none) before global average pooling, dropout and the classifier.

    Raises:
        ArchError: channels or dropout (0 to below 1) out of range.
    """

    channels: int = 0
    activation: str = "relu"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not is_int(self.channels) or self.channels != 0:
            check_channels("head channels", self.channels)
        check_activation(self.activation)
        if not is_number(self.dropout) or not 0 <= self.dropout < 1:
            refuse("dropout", self.dropout, "0 to below 1")
        object.__setattr__(self, "dropout", self.dropout + 0.0)  # 0, 0.0 and -0.0 are one value: one text too


@dataclass(frozen=True, slots=True)
class ArchSpec:
    """A whole classifier of images: stem, blocks, head.

    Args:
        image_size: (height, width) in pixels, each 1 to 4096.
        num_classes: 1 to 16384.
        in_channels: colour channels of the image.

    Raises:
        ArchError: a value out of range, or a block whose identity shortcut would join different shapes.
    """

    image_size: tuple[int, int]
    num_classes: int
    stem: StemSpec
    blocks: tuple[BlockSpec, ...]
    head: HeadSpec = HeadSpec()
    in_channels: int = 3

    def __post_init__(self) -> None:
        check_tuple("image_size", self.image_size, int)
        if len(self.image_size) != 2 or not all(is_int(s) and 1 <= s <= MAX_IMAGE_SIZE for s in self.image_size):
            refuse("image_size", list(self.image_size), f"[height, width], each 1 to {MAX_IMAGE_SIZE}")
        check_channels("num_classes", self.num_classes)
        check_channels("in_channels", self.in_channels)
        check_kind("stem", self.stem, StemSpec)
        check_tuple("blocks", self.blocks, BlockSpec)
        check_kind("head", self.head, HeadSpec)
        if sum(len(block.layers) for block in self.blocks) > MAX_LAYERS:
            refuse("blocks", "more layers", f"at most {MAX_LAYERS} layers")
        for number, (channels, block) in enumerate(self.blocks_with_inputs()):
            if block.shortcut == "identity" and (block.stride != 1 or block.out_channels != channels):
                shapes = f"{channels} -> {block.out_channels} channels, stride {block.stride}"
                refuse(f"identity shortcut of block {number}", shapes, "equal shapes; use 'projection' here")

    def blocks_with_inputs(self) -> Iterator[tuple[int, BlockSpec]]:
        """Each block with the number of channels that enter it."""
        channels = self.stem.out_channels
        for block in self.blocks:
            yield channels, block
            channels = block.out_channels

    @property
    def layers(self) -> tuple[LayerSpec, ...]:
        """All layers in order, without their grouping into blocks."""
        return tuple(layer for block in self.blocks for layer in block.layers)

    @property
    def features(self) -> int:
        """Channels that the classifier sees."""
        return self.head.channels or (self.blocks[-1].out_channels if self.blocks else self.stem.out_channels)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, with `schema_version`."""
        return {"schema_version": SCHEMA_VERSION, **_plain(self)}

    def to_json(self) -> str:
        """The canonical JSON text: equal architectures give equal text."""
        return canonical_json(self.to_dict())

    @property
    def arch_id(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ArchSpec":
        """Read what `to_dict` wrote.

        Raises:
            ArchError: missing or unknown keys, a newer schema, values out of range.
        """
        version = mapping(data, "architecture").get("schema_version")
        if not is_int(version) or version != SCHEMA_VERSION:
            refuse("schema_version", version, f"{SCHEMA_VERSION}; a newer file needs a newer bsconv-nas")
        values = {key: value for key, value in data.items() if key != "schema_version"}
        check_keys(cls, values, "architecture")
        blocks = sequence(values["blocks"], "blocks")
        return cls(
            image_size=_pair(values["image_size"]),
            num_classes=values["num_classes"],
            stem=_read(StemSpec, values["stem"], "stem"),
            blocks=tuple(_read_block(block, f"blocks[{i}]") for i, block in enumerate(blocks)),
            head=_read(HeadSpec, values.get("head", {}), "head"),
            in_channels=values.get("in_channels", 3),
        )

    @classmethod
    def from_json(cls, text: str) -> "ArchSpec":
        """Read an architecture from JSON text (any spacing and key order).

        Raises:
            ArchError: not JSON, over one million characters, or not a valid architecture.
        """
        if len(text) > _MAX_JSON_CHARACTERS:
            refuse("architecture file", f"{len(text)} characters", f"at most {_MAX_JSON_CHARACTERS}")
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:  # ValueError: also a number of over 4300 digits
            raise ArchError(f"architecture is not JSON: {error}; expected what ArchSpec.to_json writes") from error
        return cls.from_dict(data)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value


def _read_block(value: Any, where: str) -> BlockSpec:
    data = mapping(value, where)
    check_keys(BlockSpec, data, where)
    layers = sequence(data["layers"], f"{where}.layers")
    specs = tuple(_read(LayerSpec, layer, f"{where}.layers[{i}]") for i, layer in enumerate(layers))
    return BlockSpec(specs, data.get("shortcut", "none"))


def _read(cls: type[_Spec], value: Any, where: str) -> _Spec:
    data = mapping(value, where)
    check_keys(cls, data, where)
    try:
        return cls(**data)
    except ArchError as error:
        raise ArchError(f"{where}: {error}") from error


def _pair(value: Any) -> tuple[int, int]:
    items = sequence(value, "image_size")
    return tuple(items)  # type: ignore[return-value]

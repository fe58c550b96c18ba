"""`model.py` of an export: plain PyTorch that imports nothing of this package.

The file knows no layer types: it holds the convolutions of every layer, so any row of `LAYER_TYPES` can be exported.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from bsconv_nas.errors import UsageError
from bsconv_nas.networks.arch import BlockSpec, LayerSpec
from bsconv_nas.networks.cost import cost_of, layer_convs
from bsconv_nas.networks.layer_types import Conv
from bsconv_nas.nn.build import Network

_TEMPLATE = Path(__file__).with_name("model_template.py")


def model_py(network: Network) -> str:
    """Source of a module that rebuilds the network (`build()`) and loads its weights (`load()`).

    It is `model_template.py` with the network put in its place; the names of weights are those of `network`.

    Raises:
        UsageError: a layer has a module that is neither a convolution of its row nor batch normalisation.
    """
    arch, cost = network.arch, cost_of(network.arch)
    data = "\n".join(["NETWORK: dict[str, Any] = {", *_lines(network), "}"])
    text = _TEMPLATE.read_text().replace("NETWORK: dict[str, Any] = {}", data)
    text = text.replace('ARCH_ID = ""', f'ARCH_ID = "{arch.arch_id}"')
    return text.replace("Network ARCH_ID.", f"Network {arch.arch_id}: {cost.macs:,} MACs, {cost.params:,} parameters.")


def _lines(network: Network) -> Iterator[str]:
    """The entries of `NETWORK`, a line for each layer."""
    arch, stem, head = network.arch, network.arch.stem, network.arch.head
    conv = Conv("conv", arch.in_channels, stem.out_channels, stem.kernel_size, stem.stride)
    yield f'    "in_channels": {arch.in_channels},'
    yield f'    "stem": {_text({"conv": _shape(conv), "activation": stem.activation})},'
    yield '    "blocks": ['
    for (channels, spec), block in zip(arch.blocks_with_inputs(), network.blocks, strict=True):
        yield from _block_lines(spec, channels, block)
    yield "    ],"
    if head.channels:
        last = arch.blocks[-1].out_channels if arch.blocks else stem.out_channels
        yield f'    "head": {_text({"conv": (last, head.channels), "activation": head.activation})},'
    yield f'    "dropout": {head.dropout},'
    yield f'    "classifier": {(arch.features, arch.num_classes)},'


def _block_lines(spec: BlockSpec, channels: int, block: nn.Module) -> Iterator[str]:
    projection = _shape(Conv("conv", channels, spec.out_channels, stride=spec.stride))
    shortcut = {"none": None, "identity": "identity", "projection": projection}[spec.shortcut]
    yield f'        {{"shortcut": {_text(shortcut)}, "layers": ['
    for layer, module in zip(spec.layers, block.get_submodule("layers").children(), strict=True):
        convs = _convs(layer, channels, module.get_submodule("conv"))
        entry = {"type": layer.label, "convs": convs, "activation": layer.activation}
        yield f"            {_text(entry | ({'se': True} if layer.se else {}))},"
        channels = layer.out_channels
    yield "        ]},"


def _convs(layer: LayerSpec, channels: int, module: nn.Module) -> dict[str, tuple[int, ...]]:
    """The modules of a layer in order: shapes of convolutions are those of its row, the names are those of weights."""
    rows = {conv.name: conv for conv in layer_convs(layer, channels)}
    convs: dict[str, tuple[int, ...]] = {}
    for name, part in module.named_children():
        if name in rows:
            convs[name] = _shape(rows[name])
        elif isinstance(part, nn.BatchNorm2d):
            convs[name] = (part.num_features,)
        else:
            raise UsageError(
                f"layer type {layer.type!r} has a {type(part).__name__} named {name!r}; a layer that can be exported "
                "has only the convolutions of its row in LAYER_TYPES and batch normalisation"
            )
    return convs


def _shape(conv: Conv) -> tuple[int, ...]:
    """Input channels, output channels, kernel size, stride and groups, as far as the last that is not 1."""
    shape: tuple[int, ...] = conv[1:]
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _text(value: Any) -> str:
    """Python source of a value, with double quotes."""
    if isinstance(value, Mapping):
        items: Mapping[str, Any] = value
        return "{" + ", ".join(f'"{key}": {_text(item)}' for key, item in items.items()) + "}"
    return f'"{value}"' if isinstance(value, str) else repr(value)

"""All operations that networks of a space are made of."""

from collections.abc import Iterator

from bsconv_nas.networks.arch import BlockSpec, HeadSpec, LayerSpec, StemSpec
from bsconv_nas.networks.cost import Shape
from bsconv_nas.networks.operations import Operation, block_operations, stem_operations, tail_operations
from bsconv_nas.spaces.files import SpaceFile, StageChoices
from bsconv_nas.spaces.networks import ArchSpace, layer_spec


def operations_in(space: ArchSpace) -> list[Operation]:
    """Every operation of every network, each once, in a fixed order.

    Stage by stage, with the shapes that may enter it, so a space of 1e20 networks takes a fraction of a second.
    """
    definition, network = space.definition, space.definition.network
    distinct: set[Operation] = set()
    shapes: set[Shape] = set()
    for stem in _stems(definition):
        operations, shape = stem_operations(stem, space.in_channels, space.image_size)
        distinct.update(operations)
        shapes.add(shape)
    for stage in definition.stages:
        operations, after = _stage(definition, stage, shapes)
        distinct |= operations
        shapes = after | (shapes if 0 in stage.depth else set())
    for shape in shapes:
        for channels in network.head_channels:
            for activation in network.activation:
                distinct.update(tail_operations(HeadSpec(channels, activation), shape, space.num_classes))
    return sorted(distinct)


def _stems(definition: SpaceFile) -> Iterator[StemSpec]:
    stem = definition.stem
    for channels in stem.out_channels:
        for activation in definition.network.activation:
            yield StemSpec(channels, stem.kernel_size, stem.stride, activation)


def _stage(definition: SpaceFile, stage: StageChoices, shapes: set[Shape]) -> tuple[set[Operation], set[Shape]]:
    """Operations of a stage that `shapes` may enter, and the shapes that leave it."""
    distinct: set[Operation] = set()
    after: set[Shape] = set()
    for stride, entering in ((stage.stride, shapes), (1, after)):  # the first layer, then all others
        for shape in tuple(entering):
            for layer in _layers(definition, stage, stride):
                if entering is shapes or layer.out_channels == shape[0]:
                    operations, left = block_operations([_block(definition, layer, shape)], shape)
                    distinct.update(operations)
                    after.add(left)
    return distinct, after


def _layers(definition: SpaceFile, stage: StageChoices, stride: int) -> Iterator[LayerSpec]:
    layers, network = definition.layers, definition.network
    for width in stage.width:
        for label in layers.conv:
            for kernel_size in stage.kernel_size or layers.kernel_size:
                for se in network.se:
                    for activation in network.activation:
                        yield layer_spec(label, width, kernel_size, stride, layers.inner_bn, se, activation)


def _block(definition: SpaceFile, layer: LayerSpec, shape: Shape) -> BlockSpec:
    """The layer with the shortcut that needs most operations."""
    choices = definition.network.shortcut
    if layer.stride == 1 and layer.out_channels == shape[0]:
        return BlockSpec((layer,), "identity" if set(choices) != {"none"} else "none")
    return BlockSpec((layer,), "projection" if "pair" in choices else "none")

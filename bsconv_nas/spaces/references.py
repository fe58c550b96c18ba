"""The hand-made families of the paper as architectures, to start from and to be compared with."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from bsconv_nas.errors import UsageError
from bsconv_nas.networks.arch import ArchSpec, BlockSpec, LayerSpec, StemSpec
from bsconv_nas.spaces.genes import Genotype
from bsconv_nas.spaces.networks import ArchSpace

_MOBILENET_STAGES = ((64, 1), (128, 2), (256, 2), (512, 6), (1024, 2))
_RESNET20_STAGES = ((16, 6), (32, 6), (64, 6))
_RESNET18_STAGES = ((64, 4), (128, 4), (256, 4), (512, 4))
_SMALL_IMAGE = 64


def mobilenet_v1_bsconv_u(width: float, image_size: tuple[int, int], num_classes: int) -> ArchSpec:
    """MobileNetV1 with BSConv-U (paper, table 3): every depthwise separable block becomes one BSConv-U layer.

    `width` scales all channels; images of up to 64 px keep their resolution in the first two stages.
    """
    small = min(image_size) <= _SMALL_IMAGE
    strides = (1, 1, 2, 2, 2) if small else (1, 2, 2, 2, 2)
    blocks = [
        BlockSpec((LayerSpec("U", int(channels * width), stride=stride if i == 0 else 1),))
        for (channels, depth), stride in zip(_MOBILENET_STAGES, strides, strict=True)
        for i in range(depth)
    ]
    stem = StemSpec(int(32 * width), stride=1 if small else 2)
    return ArchSpec(image_size, num_classes, stem, tuple(blocks))


def resnet_chain(layer_type: str, p: float | None, image_size: tuple[int, int], num_classes: int) -> ArchSpec:
    """ResNet with its 3x3 convolutions replaced by BSConv layers: ResNet-20 up to 64 px, ResNet-18 beyond.

    Beyond 64 px a strided first block stands for the original's max pooling.
    """
    small = min(image_size) <= _SMALL_IMAGE
    blocks: list[BlockSpec] = []
    stem = StemSpec(16) if small else StemSpec(32, stride=2)
    channels = stem.out_channels
    for number, (width, depth) in enumerate(_RESNET20_STAGES if small else _RESNET18_STAGES):
        for pair in range(depth // 2):
            stride = 2 if pair == 0 and (number > 0 or not small) else 1
            layers = (LayerSpec(layer_type, width, stride=stride, p=p), LayerSpec(layer_type, width, p=p))
            same = stride == 1 and channels == width
            blocks.append(BlockSpec(layers, "identity" if same else "projection"))
            channels = width
    return ArchSpec(image_size, num_classes, stem, tuple(blocks))


Reference = Callable[[tuple[int, int], int], ArchSpec]

REFERENCES: dict[str, Reference] = {
    "mobilenetv1-w1-bsconvu": lambda size, classes: mobilenet_v1_bsconv_u(1.0, size, classes),
    "mobilenetv1-w3d4-bsconvu": lambda size, classes: mobilenet_v1_bsconv_u(0.75, size, classes),
    "mobilenetv1-w1d2-bsconvu": lambda size, classes: mobilenet_v1_bsconv_u(0.5, size, classes),
    "mobilenetv1-w1d4-bsconvu": lambda size, classes: mobilenet_v1_bsconv_u(0.25, size, classes),
    "mobilenetv1-w1d8-bsconvu": lambda size, classes: mobilenet_v1_bsconv_u(0.125, size, classes),
    "resnet-bsconvu": lambda size, classes: resnet_chain("U", None, size, classes),
    "resnet-bsconvs-p1d2": lambda size, classes: resnet_chain("S", 1 / 2, size, classes),
    "resnet-bsconvs-p1d4": lambda size, classes: resnet_chain("S", 1 / 4, size, classes),
    "resnet-bsconvs-p1d8": lambda size, classes: resnet_chain("S", 1 / 8, size, classes),
}


def references_in(space: ArchSpace) -> dict[str, Genotype]:
    """The references that are points of the space, by name, in the order of `REFERENCES`."""
    genotypes: dict[str, Genotype] = {}
    for name, arch in _possible(space.image_size, space.num_classes):
        with suppress(UsageError):  # not a point of the space
            genotypes[name] = space.encode(replace(arch, in_channels=space.in_channels))
    return genotypes


def reference_names(image_size: tuple[int, int], num_classes: int) -> dict[str, str]:
    """Names of the references by architecture (`ArchSpec.arch_id`), to recognise them among the trials of a study."""
    return {arch.arch_id: name for name, arch in _possible(image_size, num_classes)}


def _possible(image_size: tuple[int, int], num_classes: int) -> Iterator[tuple[str, ArchSpec]]:
    for name, make in REFERENCES.items():
        with suppress(UsageError):  # no network at this image size
            yield name, make(image_size, num_classes)

"""Hypothesis strategies shared by the property tests."""

from hypothesis import strategies as st

from bsconv_nas.base.limits import Limits
from bsconv_nas.networks.arch import ArchSpec, BlockSpec, HeadSpec, LayerSpec, StemSpec
from bsconv_nas.networks.arch_checks import ACTIVATIONS
from bsconv_nas.networks.layer_types import LAYER_TYPES
from bsconv_nas.spaces.genes import GeneSpace, Genotype

CHANNELS = st.one_of(st.sampled_from((1, 2, 3, 8, 16)), st.integers(1, 24))
KERNELS = st.sampled_from((1, 3, 5, 7))
STRIDES = st.sampled_from((1, 2))
NAMES = st.sampled_from(ACTIVATIONS)
RATIOS = st.one_of(st.sampled_from((1 / 8, 1 / 6, 1 / 4, 1 / 2, 1.0)), st.floats(0, 1, exclude_min=True))
IMAGE_SIDES = st.integers(1, 33)

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from((10**400, -(10**30))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def layers(draw: st.DrawFn, out_channels: int | None = None, stride: int | None = None) -> LayerSpec:
    kind = draw(st.sampled_from(sorted(LAYER_TYPES)))
    return LayerSpec(
        kind,
        draw(CHANNELS) if out_channels is None else out_channels,
        draw(KERNELS),
        draw(STRIDES) if stride is None else stride,
        draw(RATIOS) if LAYER_TYPES[kind].takes_p else None,
        inner_bn=draw(st.booleans()),
        se=draw(st.booleans()),
        activation=draw(NAMES),
    )


@st.composite
def blocks(draw: st.DrawFn, in_channels: int) -> BlockSpec:
    shortcut = draw(st.sampled_from(("none", "identity", "projection")))
    same = shortcut == "identity"
    depth = draw(st.integers(1, 3))
    return BlockSpec(
        tuple(
            draw(
                layers(
                    out_channels=in_channels if same and number == depth - 1 else None,
                    stride=1 if same or number > 0 else None,
                )
            )
            for number in range(depth)
        ),
        shortcut,
    )


@st.composite
def archs(draw: st.DrawFn) -> ArchSpec:
    """Any valid network, kept small enough to be built in milliseconds."""
    stem = StemSpec(draw(CHANNELS), draw(KERNELS), draw(STRIDES), draw(NAMES))
    channels, found = stem.out_channels, []
    for _ in range(draw(st.integers(0, 3))):
        found.append(draw(blocks(channels)))
        channels = found[-1].out_channels
    return ArchSpec(
        image_size=(draw(IMAGE_SIDES), draw(IMAGE_SIDES)),
        num_classes=draw(st.integers(1, 12)),
        stem=stem,
        blocks=tuple(found),
        head=HeadSpec(draw(st.just(0) | CHANNELS), draw(NAMES), draw(st.sampled_from((0, 0.0, 0.2, 0.5)))),
        in_channels=draw(st.integers(1, 4)),
    )


@st.composite
def gene_spaces(draw: st.DrawFn) -> tuple[GeneSpace, Limits]:
    """A space of up to a few hundred networks with additive costs, and a limit that some of them keep."""
    kinds = {"integers": (1, 2, 4, 8), "text": ("a", "b", "c"), "switch": (False, True), "floats": (0.25, 0.5)}
    genes = {
        f"g{number}": list(kinds[kind][: draw(st.integers(1, len(kinds[kind])))])
        for number, kind in enumerate(draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=4)))
    }
    prices = {(gene, choice): draw(st.integers(1, 50)) for gene, choices in genes.items() for choice in choices}

    def cost(genotype: Genotype) -> dict[str, float]:
        return {"macs": float(sum(prices[item] for item in zip(genes, genotype, strict=True)))}

    space = GeneSpace(genes, cost)
    costs = sorted(cost(genotype)["macs"] for genotype in space.enumerate())
    return space, Limits({"macs": draw(st.sampled_from(costs))})

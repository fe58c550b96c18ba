"""What every search space of networks promises: the packaged ones, and small ones made to be enumerated."""

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsconv_nas.errors import SpaceError
from bsconv_nas.networks.arch import ArchSpec, BlockSpec, HeadSpec, LayerSpec, StemSpec
from bsconv_nas.networks.cost import METRICS, cost_of, shortest_path
from bsconv_nas.networks.layer_types import mid_channels
from bsconv_nas.spaces import genes as space_module
from bsconv_nas.spaces.files import SpaceFile, find_space, space_names
from bsconv_nas.spaces.genes import Genotype, extreme
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.spaces.references import REFERENCES
from bsconv_nas.spaces.stages import SHORTCUT_CHOICES
from tests.space_files import PACKAGED_SIZES, space_file, stage

CONVS = {"conv": ["S-1/4", "U"], "kernel_size": [3, 5]}
SMALL = {
    "depths": space_file(layers=CONVS, stages=[stage(1, [0, 1, 2], [8, 16]), stage(2, [1, 2], [8])]),
    "all-empty": space_file(network={"se": [True]}, stages=[stage(2, [0, 1], [8, 16]), stage(2, [0], [4])]),
    "shortcuts": space_file(
        stem={"out_channels": [8, 16], "kernel_size": 5, "stride": 2},
        network={"shortcut": ["none", "layer", "pair"], "se": [False, True], "dropout": 0.2},
        stages=[stage(1, [1, 3], [8, 16]), stage(2, [0, 2], [16])],
    ),
    "network": space_file(
        layers={"conv": ["S-1"], "kernel_size": [3], "inner_bn": True},
        network={"shortcut": ["pair", "none"], "activation": ["silu", "relu"], "head_channels": [0, 8]},
        stages=[stage(1, [2, 1], [16, 8])],
    ),
    "kernels": space_file(layers=CONVS, stages=[stage(1, [1], [8], kernel_size=[1, 7, 3]), stage(1, [0, 2], [8])]),
    "repeating-stages": space_file(
        layers={"conv": ["U", "S-1/6"], "kernel_size": [3]}, stages=[stage(1, [0, 1, 2], [8])] * 3
    ),
}


def _small(name: str) -> ArchSpace:
    return ArchSpace(SMALL[name], (9, 8), 3, in_channels=2)


def _packaged(name: str) -> ArchSpace:
    return ArchSpace(find_space(name), PACKAGED_SIZES[name], 10)


SPACES = [pytest.param(_small(name), id=name) for name in SMALL] + [
    pytest.param(_packaged(n), id=n) for n in space_names()
]
SMALL_SPACES = [pytest.param(_small(name), id=name) for name in SMALL]


def _any_genotypes(space: ArchSpace, number: int, seed: int = 0) -> list[Genotype]:
    """Genotypes drawn gene by gene, not canonical as a rule."""
    rng = random.Random(seed)
    return [tuple(rng.choice(gene.choices) for gene in space.genes) for _ in range(number)]


def test_the_packaged_spaces_are_known() -> None:
    assert space_names() == sorted(PACKAGED_SIZES)


@pytest.mark.parametrize("space", SPACES)
def test_canonical_is_idempotent_and_keeps_the_network(space: ArchSpace) -> None:
    for genotype in _any_genotypes(space, 50):
        canonical = space.canonical(genotype)
        assert space.check(canonical) == canonical
        assert space.canonical(canonical) == canonical
        assert space.decode(canonical) == space.decode(genotype)
        assert space.identity(canonical) == space.identity(genotype) == space.decode(genotype).arch_id


@pytest.mark.parametrize("space", SPACES)
def test_random_genotypes_are_canonical(space: ArchSpace) -> None:
    rng = random.Random(0)
    for _ in range(50):
        genotype = space.random(rng)
        assert space.canonical(space.check(genotype)) == genotype


@pytest.mark.parametrize("space", SPACES)
def test_encode_finds_the_network_again(space: ArchSpace) -> None:
    for genotype in _any_genotypes(space, 50):
        arch = space.decode(genotype)
        found = space.encode(arch)
        assert space.canonical(space.check(found)) == found
        assert space.decode(found) == arch
        assert space.encode(ArchSpec.from_json(arch.to_json())) == found


@pytest.mark.parametrize("space", SPACES)
def test_identity_is_that_of_the_network(space: ArchSpace) -> None:
    genotypes = _any_genotypes(space, 60)
    genotypes += [n for g in genotypes[:2] for n in itertools.islice(space.neighbours(space.canonical(g)), 40)]
    by_network: dict[ArchSpec, set[str]] = {}
    for genotype in genotypes:
        by_network.setdefault(space.decode(genotype), set()).add(space.identity(genotype))
    assert all(len(names) == 1 for names in by_network.values())
    assert len(set.union(*by_network.values())) == len(by_network)


@pytest.mark.parametrize("space", SPACES)
def test_neighbours_are_other_canonical_genotypes(space: ArchSpace) -> None:
    for genotype in map(space.canonical, _any_genotypes(space, 3)):
        found = list(space.neighbours(genotype))
        assert genotype not in found
        assert len(set(found)) == len(found)
        for neighbour in found:
            assert space.canonical(space.check(neighbour)) == neighbour
        expected = {space.canonical(g) for g in _one_gene_changed(space, genotype)} - {genotype}
        assert set(found) == expected


def _one_gene_changed(space: ArchSpace, genotype: Genotype) -> Iterator[Genotype]:
    for position, gene in enumerate(space.genes):
        for choice in gene.choices:
            yield (*genotype[:position], choice, *genotype[position + 1 :])


@pytest.mark.parametrize("space", SPACES)
def test_the_cost_is_that_of_the_network(space: ArchSpace) -> None:
    for genotype in _any_genotypes(space, 30):
        cost = cost_of(space.decode(genotype))
        assert space.cost(genotype) == cost.as_dict()
        costs = space.cost(genotype)
        costs["macs"] = 0.0
        assert space.cost(genotype)["macs"] == cost.macs, "what a caller does to a cost stays with the caller"


@pytest.mark.parametrize("space", SPACES)
def test_traits_are_those_of_the_network(space: ArchSpace) -> None:
    for genotype in _any_genotypes(space, 30):
        arch = space.decode(genotype)
        convs = 1 + shortest_path(arch.blocks, arch.stem.out_channels) + bool(arch.head.channels)
        channels = [arch.stem.out_channels, *(layer.out_channels for layer in arch.layers)]
        middles = [
            mid_channels(entering, layer.p) if layer.p is not None else layer.out_channels / 3
            for entering, layer in zip(channels, arch.layers, strict=False)
        ]
        kernels = [layer.kernel_size for layer in arch.layers]
        later = kernels[len(kernels) // 2 :]
        assert space.traits(genotype) == pytest.approx(
            {
                "path": convs / space.longest_path,
                "width": sum(map(math.log, channels)) / len(channels),
                "middle": sum(map(math.log, middles)) / max(1, len(middles)),
                "kernel": sum(map(math.log, later)) / max(1, len(later)),
                "depth": math.log(max(1, len(kernels))),
            }
        )
        assert space.traits(genotype).keys() >= space.expected.keys()
        assert convs <= space.longest_path


@pytest.mark.parametrize("name", ["depths", "shortcuts", "network"])
def test_the_deepest_network_without_shortcuts_has_the_longest_path(name: str) -> None:
    space = ArchSpace(SMALL[name], (16, 16), 10)
    assert max(space.traits(genotype)["path"] for genotype in space.enumerate()) == 1


@pytest.mark.parametrize("space", SPACES)
def test_params_round_trip(space: ArchSpace) -> None:
    for genotype in _any_genotypes(space, 20):
        assert space.from_params(space.to_params(genotype)) == genotype


@pytest.mark.parametrize("space", SPACES)
def test_networks_have_the_images_and_classes_of_the_space(space: ArchSpace) -> None:
    arch = space.decode(_any_genotypes(space, 1)[0])
    assert (arch.image_size, arch.num_classes, arch.in_channels) == (
        space.image_size,
        space.num_classes,
        space.in_channels,
    )


@pytest.mark.parametrize("space", SMALL_SPACES)
def test_size_counts_the_canonical_genotypes(space: ArchSpace) -> None:
    everything = list(space.enumerate())
    brute_force = {space.canonical(g) for g in itertools.product(*(gene.choices for gene in space.genes))}
    assert set(everything) == brute_force
    assert space.size == len(everything) == len(brute_force)


def test_size_by_hand() -> None:
    # stage 1: left out, 1 layer or 2 of 4 kinds each, in 2 widths; stage 2: 1 or 2 layers
    assert _small("depths").size == (1 + 2 * 4 + 2 * 16) * (4 + 16)
    assert _small("kernels").size == 2 * 3 * (1 + 16)
    assert _packaged("cifar").size > 1e20


@pytest.mark.parametrize("metric", [name for name, metric in METRICS.items() if metric.value is not None])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("enumerable", [5_000, 0], ids=["enumeration", "descent"])
@pytest.mark.parametrize("space", SMALL_SPACES)
def test_extremes_are_those_of_brute_force(
    monkeypatch: pytest.MonkeyPatch, space: ArchSpace, enumerable: int, sign: int, metric: str
) -> None:
    monkeypatch.setattr(space_module, "ENUMERABLE", enumerable)
    best = min(sign * space.cost(genotype)[metric] for genotype in space.enumerate())
    assert sign * space.cost(extreme(space, lambda g: sign * space.cost(g)[metric]))[metric] == best


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", PACKAGED_SIZES)
def test_no_random_network_of_a_packaged_space_is_beyond_its_extremes(name: str, sign: int) -> None:
    space = _packaged(name)
    best = extreme(space, lambda g: sign * space.cost(g)["macs"])
    assert space.canonical(best) == best
    reached = sign * space.cost(best)["macs"]
    others = [*_any_genotypes(space, 300), *space.neighbours(best)]
    assert all(reached <= sign * space.cost(genotype)["macs"] for genotype in others)


def test_the_extreme_is_found_where_genes_interact() -> None:
    space = _packaged("cifar")
    assert space.cost(extreme(space, lambda g: -space.cost(g)["peak_activation"]))["peak_activation"] >= 1_835_008


# what genes mean


def test_a_stage_of_depth_0_is_left_out_with_its_stride() -> None:
    space = _small("all-empty")
    (arch,) = {space.decode(g) for g in space.enumerate() if space.to_params(g)["s1.depth"] == 0}
    assert arch == ArchSpec((9, 8), 3, StemSpec(8), (), in_channels=2)


def test_a_genotype_decodes_to_what_it_says() -> None:
    space = ArchSpace(
        space_file(
            stem={"out_channels": [8, 16], "kernel_size": 5, "stride": 2},
            layers={"conv": ["U", "S-1/4"], "kernel_size": [3, 5], "inner_bn": True},
            network={
                "shortcut": list(SHORTCUT_CHOICES),
                "se": [False, True],
                "activation": ["relu", "silu"],
                "head_channels": [0, 32],
                "dropout": 0.5,
            },
            stages=[stage(2, [1, 2, 3], [8, 16], kernel_size=[1, 7])],
        ),
        (32, 32),
        10,
    )
    params = {"stem": 16, "shortcut": "pair", "se": True, "activation": "silu", "head": 32}
    params |= {"s1.depth": 3, "s1.width": 16, "s1.l1.conv": "S-1/4", "s1.l1.kernel": 7}
    params |= {"s1.l2.conv": "U", "s1.l2.kernel": 1, "s1.l3.conv": "S-1/4", "s1.l3.kernel": 1}
    layers = [
        LayerSpec(kind, 16, kernel, stride, p, inner_bn=True, se=True, activation="silu")
        for kind, kernel, stride, p in (("S", 7, 2, 0.25), ("U", 1, 1, None), ("S", 1, 1, 0.25))
    ]
    pairs = (BlockSpec((layers[0], layers[1]), "projection"), BlockSpec((layers[2],), "identity"))
    arch = ArchSpec((32, 32), 10, StemSpec(16, 5, 2, "silu"), pairs, HeadSpec(32, "silu", 0.5))
    assert list(params) == [gene.name for gene in space.genes]
    assert space.decode(space.from_params(params)) == arch
    single = (BlockSpec((layers[0],)), BlockSpec((layers[1],), "identity"), BlockSpec((layers[2],), "identity"))
    assert space.decode(space.from_params({**params, "shortcut": "layer"})) == replace(arch, blocks=single)
    plain = tuple(BlockSpec((layer,)) for layer in layers)
    assert space.decode(space.from_params({**params, "shortcut": "none"})) == replace(arch, blocks=plain)


@pytest.mark.parametrize("space", SPACES)
def test_numbers_are_ordinal_and_names_are_not(space: ArchSpace) -> None:
    for gene in space.genes:
        kind = gene.name.rpartition(".")[2]
        numeric = kind in ("stem", "head", "depth", "width", "kernel")
        assert gene.ordinal == (numeric and list(gene.choices) == sorted(gene.choices, key=float)), gene.name


# references, other networks


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize(("space_name", "size"), [("cifar", (32, 32)), ("cifar", (64, 48)), ("mobile", (224, 224))])
def test_the_references_are_points_of_the_spaces(name: str, space_name: str, size: tuple[int, int]) -> None:
    space = ArchSpace(find_space(space_name), size, 100)
    arch = REFERENCES[name](size, 100)
    assert space.decode(space.encode(arch)) == arch


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": (31, 32)},
        {"num_classes": 11},
        {"in_channels": 1},
        {"stem": StemSpec(9)},
        {"stem": StemSpec(8, 5)},
        {"stem": StemSpec(8, activation="silu")},
        {"head": HeadSpec(8)},
        {"head": HeadSpec(dropout=0.1)},
        {"blocks": ()},
        {"blocks": (BlockSpec((LayerSpec("S", 16, p=0.3),)),) * 4},
        {"blocks": (BlockSpec((LayerSpec("U", 16, inner_bn=True),)),) * 4},
        {"blocks": (BlockSpec((LayerSpec("U", 16),)),) * 200},
    ],
)
def test_networks_outside_the_space_are_refused(change: dict[str, Any]) -> None:
    space = _packaged("cifar")
    arch = replace(space.decode(tuple(gene.choices[0] for gene in space.genes)), **change)
    with pytest.raises(SpaceError, match=f"network {arch.arch_id} is not a point of space 'cifar'"):
        space.encode(arch)


def test_the_fingerprint_follows_everything_that_matters() -> None:
    base = space_file(layers=CONVS)
    spaces = [
        ArchSpace(base, (32, 32), 10),
        ArchSpace(base, (32, 31), 10),
        ArchSpace(base, (32, 32), 11),
        ArchSpace(base, (32, 32), 10, in_channels=1),
        ArchSpace(space_file(layers=CONVS, stem={"out_channels": [8], "stride": 2}), (32, 32), 10),
        ArchSpace(space_file(layers={**CONVS, "inner_bn": True}), (32, 32), 10),
        ArchSpace(space_file(layers=CONVS, network={"dropout": 0.1}), (32, 32), 10),
    ]
    assert len({space.fingerprint for space in spaces}) == len(spaces)
    renamed = space_file(layers=CONVS, name="renamed", title="Renamed", description="the same networks")
    assert ArchSpace(renamed, (32, 32), 10).fingerprint == spaces[0].fingerprint


@given(st.data())
def test_random_space_files_keep_the_promises(data: st.DataObject) -> None:
    def some(values: list[Any]) -> list[Any]:
        return data.draw(st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True))

    file = space_file(
        stem={"out_channels": some([8, 16]), "stride": data.draw(st.sampled_from((1, 2)))},
        layers={"conv": some(["U", "S-1/4", "S-1/3", "S-1", "S-17/100"]), "kernel_size": some([1, 3])},
        network={"shortcut": some(["none", "layer", "pair"]), "se": some([False, True]), "head_channels": some([0, 8])},
        stages=[
            stage(data.draw(st.sampled_from((1, 2))), some([0, 1, 2]), some([8, 16, 4]))
            for _ in range(data.draw(st.integers(1, 2)))
        ],
    )
    if not any(len(choices) > 1 for choices in (file.stem.out_channels, *_lists(file))):
        with pytest.raises(SpaceError, match="no genes"):
            ArchSpace(file, (8, 8), 2)
        return
    space = ArchSpace(file, (8, 8), 2)
    assert sum(1 for _ in itertools.islice(space.enumerate(), 3_000)) == min(space.size, 3_000)
    for genotype in _any_genotypes(space, 10):
        arch = space.decode(genotype)
        assert space.decode(space.encode(arch)) == arch
        assert space.decode(space.canonical(genotype)) == arch


def _lists(file: SpaceFile) -> Iterator[tuple[Any, ...]]:
    yield from (file.network.shortcut, file.network.se, file.network.head_channels)
    for each in file.stages:
        yield from (each.depth, each.width)
        if max(each.depth) > 0:
            yield from (file.layers.conv, file.layers.kernel_size)

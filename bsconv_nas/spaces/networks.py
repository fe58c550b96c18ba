"""Spaces of networks: how genes become an `ArchSpec` and how an `ArchSpec` is found in a space."""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from bsconv_nas.errors import SpaceError
from bsconv_nas.networks.arch import ArchSpec, BlockSpec, HeadSpec, LayerSpec, StemSpec
from bsconv_nas.networks.cost import Cost, Shape, layer_convs, stem_cost, tail_costs
from bsconv_nas.networks.latency_table import LATENCY, LatencyTable
from bsconv_nas.networks.operations import stem_operations, tail_operations
from bsconv_nas.networks.traits import EXPECTED, traits_of
from bsconv_nas.spaces.files import SpaceFile, StageChoices
from bsconv_nas.spaces.genes import Choice, GeneSpace, Genotype
from bsconv_nas.spaces.stages import Stage, StageCosts, grouped, layer_spec, shortcut_of, split


class ArchSpace(GeneSpace):
    """The networks that a space file describes, for one image size and number of classes.

    Genes: `stem`, `shortcut`, `se`, `activation`, `head` for the network, `s1.depth` and `s1.width` for each stage,
    `s1.l1.conv` and `s1.l1.kernel` for each layer. Lists with a single choice make no gene. A stage of depth 0 is left
    out with its stride. Layers beyond a stage's depth are inactive: `canonical` sets them to their first choice.

    With a `latency` table of its operations, `latency_ms` is one of the costs.
    """

    def __init__(
        self,
        definition: SpaceFile,
        image_size: tuple[int, int],
        num_classes: int,
        in_channels: int = 3,
        latency: LatencyTable | None = None,
    ) -> None:
        self.definition = definition
        self.latency = latency
        self.image_size = image_size
        self.num_classes = num_classes
        self.in_channels = in_channels
        self._choices = _all_choices(definition)
        genes = {name: choices for name, choices in self._choices.items() if len(choices) > 1}
        super().__init__(genes, self._cost_of, name=definition.name, expected=EXPECTED)
        self._positions = {gene.name: position for position, gene in enumerate(self.genes)}
        self._network_positions = [self._positions[name] for name in _NETWORK_GENES if name in self._positions]
        numbers = range(1, len(definition.stages) + 1)
        self._stage_positions = [self._positions_of(f"s{number}.") for number in numbers]
        self._inactive = [self._inactive_genes(number) for number in numbers]
        self._stages_seen = StageCosts(latency)
        self.longest_path = self._longest()
        self._cached_cost = lru_cache(maxsize=16_384)(self._uncached_cost)

    def with_latency(self, table: LatencyTable) -> "ArchSpace":
        """The same space, with `latency_ms` among its costs."""
        return ArchSpace(self.definition, self.image_size, self.num_classes, self.in_channels, table)

    def description(self) -> dict[str, object]:
        network = [list(self.image_size), self.num_classes, self.in_channels]
        definition = self.definition.model_dump(
            mode="json", exclude={"name", "title", "description", "image_size", "usual_size"}
        )
        return {"network": network, "definition": definition}

    @property
    def size(self) -> int:
        """Number of distinct canonical genotypes, counted stage by stage."""
        per_network = math.prod(len(choices) for name, choices in self._choices.items() if name in _NETWORK_GENES)
        return per_network * math.prod(
            sum(
                1 if depth == 0 else len(stage.width) * self._choices_per_layer(number) ** depth
                for depth in stage.depth
            )
            for number, stage in enumerate(self.definition.stages, 1)
        )

    def _choices_per_layer(self, stage: int) -> int:
        return len(self._choices[f"s{stage}.l1.conv"]) * len(self._choices[f"s{stage}.l1.kernel"])

    def canonical(self, genotype: Genotype) -> Genotype:
        result = list(genotype)
        for position, inactive in self._inactive:
            for masked, choice in inactive[genotype[position] if position is not None else None]:
                result[masked] = choice
        return tuple(result)

    def _inactive_genes(self, number: int) -> tuple[int | None, dict[Choice | None, list[tuple[int, Choice]]]]:
        """Position of a stage's depth gene and, by depth, the genes that it switches off with their first choices."""
        stage = self.definition.stages[number - 1]
        position = self._positions.get(f"s{number}.depth")
        masks: dict[Choice | None, list[tuple[int, Choice]]] = {}
        for depth in stage.depth:
            names = [f"s{number}.width"] if depth == 0 else []
            for layer in range(depth + 1, max(stage.depth) + 1):
                names += [f"s{number}.l{layer}.conv", f"s{number}.l{layer}.kernel"]
            masked = [self._positions[name] for name in names if name in self._positions]
            masks[depth if position is not None else None] = [(i, self.genes[i].choices[0]) for i in masked]
        return position, masks

    def _positions_of(self, prefix: str) -> slice:
        positions = [position for name, position in self._positions.items() if name.startswith(prefix)]
        return slice(positions[0], positions[-1] + 1) if positions else slice(0, 0)

    def identity(self, genotype: Genotype) -> str:
        return self.decode(genotype).arch_id

    def decode(self, genotype: Genotype) -> ArchSpec:
        """The network of a genotype."""
        return ArchSpec(
            image_size=self.image_size,
            num_classes=self.num_classes,
            in_channels=self.in_channels,
            stem=self._stem(genotype),
            blocks=tuple(self._blocks(genotype)),
            head=self._head(genotype),
        )

    def _stem(self, genotype: Genotype) -> StemSpec:
        stem = self.definition.stem
        channels, activation = int(self._value(genotype, "stem")), str(self._value(genotype, "activation"))
        return _stem(channels, stem.kernel_size, stem.stride, activation)

    def _head(self, genotype: Genotype) -> HeadSpec:
        channels, activation = int(self._value(genotype, "head")), str(self._value(genotype, "activation"))
        return _head(channels, activation, self.definition.network.dropout)

    def encode(self, arch: ArchSpec) -> Genotype:
        """The canonical genotype whose network is `arch`.

        Raises:
            SpaceError: the network is not a point of this space.
        """
        for per_stage in split(list(arch.layers), self.definition.stages):
            for shortcut in self._choices["shortcut"]:
                genotype = self._genotype(arch, per_stage, shortcut)
                if genotype is not None and self.decode(genotype) == arch:
                    return genotype
        raise SpaceError(f"network {arch.arch_id} is not a point of space {self.name!r} at its size and classes")

    def _genotype(self, arch: ArchSpec, per_stage: list[list[LayerSpec]], shortcut: Choice) -> Genotype | None:
        layers = arch.layers
        values: dict[str, Choice] = {
            "stem": arch.stem.out_channels,
            "shortcut": shortcut,
            "se": layers[0].se if layers else self._choices["se"][0],
            "activation": arch.stem.activation,
            "head": arch.head.channels,
        }
        for number, stage_layers in enumerate(per_stage, 1):
            values[f"s{number}.depth"] = len(stage_layers)
            if stage_layers:
                values[f"s{number}.width"] = stage_layers[0].out_channels
            for position, layer in enumerate(stage_layers, 1):
                values[f"s{number}.l{position}.conv"] = layer.label
                values[f"s{number}.l{position}.kernel"] = layer.kernel_size
        if any(value not in self._choices[name] for name, value in values.items()):
            return None
        return self.canonical(tuple(values.get(gene.name, gene.choices[0]) for gene in self.genes))

    def _blocks(self, genotype: Genotype) -> Iterator[BlockSpec]:
        channels = int(self._value(genotype, "stem"))
        for number in range(1, len(self.definition.stages) + 1):
            for block in self._stage_blocks(genotype, number, channels):
                yield block
                channels = block.out_channels

    def _stage_blocks(self, genotype: Genotype, number: int, channels: int) -> Iterator[BlockSpec]:
        """Blocks of a stage that `channels` channels enter."""
        shortcut, activation = str(self._value(genotype, "shortcut")), str(self._value(genotype, "activation"))
        layers = list(self._stage_layers(genotype, number, self.definition.stages[number - 1], activation))
        for group in grouped(layers, 2 if shortcut == "pair" else 1):
            yield BlockSpec(group, shortcut_of(group, channels, shortcut))
            channels = group[-1].out_channels

    def _stage_layers(
        self, genotype: Genotype, number: int, stage: StageChoices, activation: str
    ) -> Iterator[LayerSpec]:
        width = int(self._value(genotype, f"s{number}.width"))
        se = bool(self._value(genotype, "se"))
        for layer in range(1, int(self._value(genotype, f"s{number}.depth")) + 1):
            label = str(self._value(genotype, f"s{number}.l{layer}.conv"))
            kernel_size = int(self._value(genotype, f"s{number}.l{layer}.kernel"))
            stride = stage.stride if layer == 1 else 1
            yield layer_spec(label, width, kernel_size, stride, self.definition.layers.inner_bn, se, activation)

    def _value(self, genotype: Genotype, name: str) -> Choice:
        position = self._positions.get(name)
        return self._choices[name][0] if position is None else genotype[position]

    def _cost_of(self, genotype: Genotype) -> dict[str, float]:
        return self._cached_cost(genotype)

    def _uncached_cost(self, genotype: Genotype) -> dict[str, float]:
        """Costs of the network of a genotype, put together from those of its stages without decoding it.

        The networks that a sampler compares share most of their stages, so this is several times faster than decoding.
        """
        stem, head = self._stem(genotype), self._head(genotype)
        rows = [stem_cost(stem, self.in_channels, self.image_size)]
        stages = self._stages(genotype, rows[0].out_shape)
        for stage in stages:
            rows += stage.layers
        shape = rows[-1].out_shape
        rows += tail_costs(head, shape, self.num_classes)
        costs = Cost.of(rows).as_dict()
        if self.latency is not None:
            first, _ = stem_operations(stem, self.in_channels, self.image_size)
            ends = self.latency.sum((*first, *tail_operations(head, shape, self.num_classes)))
            costs[LATENCY] = round(ends + sum(stage.milliseconds for stage in stages), 6)
        return costs

    def traits(self, genotype: Genotype) -> dict[str, float]:
        """What accuracy follows that no single gene tells: see `networks/traits.py`."""
        stem = self._stem(genotype)
        shape = stem_cost(stem, self.in_channels, self.image_size).out_shape
        parts = (stage.part for stage in self._stages(genotype, shape))
        return traits_of(stem.out_channels, parts, bool(self._head(genotype).channels), self.longest_path)

    def _longest(self) -> int:
        """Convolutions in a row in the deepest networks of the space."""
        layers = (layer_spec(str(label), 8, 3, 1, False, False, "relu") for label in self.definition.layers.conv)
        per_layer = max(len(layer_convs(layer, 8)) for layer in layers)
        depth = sum(max(stage.depth) for stage in self.definition.stages)
        return 1 + per_layer * depth + any(self.definition.network.head_channels)

    def _stages(self, genotype: Genotype, shape: Shape) -> list[Stage]:
        """The stages of a network that `shape` enters; one of depth 0 has no layers."""
        stages: list[Stage] = []
        for number in range(1, len(self.definition.stages) + 1):
            stages.append(self._stage(genotype, number, shape))
            shape = stages[-1].layers[-1].out_shape if stages[-1].layers else shape
        return stages

    def _stage(self, genotype: Genotype, number: int, in_shape: Shape) -> Stage:
        network = tuple(genotype[position] for position in self._network_positions)
        key = (number, in_shape, network, genotype[self._stage_positions[number - 1]])
        return self._stages_seen.get(key, in_shape, lambda: self._stage_blocks(genotype, number, in_shape[0]))


_NETWORK_GENES = ("stem", "shortcut", "se", "activation", "head")


def _all_choices(definition: SpaceFile) -> dict[str, tuple[Any, ...]]:
    """Choices by name, in the order of genes; those with a single choice are constants, not genes."""
    network = definition.network
    choices: dict[str, tuple[Any, ...]] = {
        "stem": definition.stem.out_channels,
        "shortcut": network.shortcut,
        "se": network.se,
        "activation": network.activation,
        "head": network.head_channels,
    }
    for number, stage in enumerate(definition.stages, 1):
        choices[f"s{number}.depth"] = stage.depth
        choices[f"s{number}.width"] = stage.width
        for layer in range(1, max(stage.depth) + 1):
            choices[f"s{number}.l{layer}.conv"] = definition.layers.conv
            choices[f"s{number}.l{layer}.kernel"] = stage.kernel_size or definition.layers.kernel_size
    return choices


_stem = lru_cache(maxsize=1_024)(StemSpec)
_head = lru_cache(maxsize=1_024)(HeadSpec)

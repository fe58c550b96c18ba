"""Made-up search problems whose best fronts can be found: like spaces of networks, but evaluated in microseconds.

A network is a chain of stages; each stage has a width, a depth, a kernel size and a type of layer (the last stage may
have fewer genes). Costs multiply within a stage (width of this and the previous one x depth x kernel x type) and add up
over stages, as MACs do. The log error falls with the capacity of each stage, less and less, shifted by how well each
type of layer suits its stage, by pairs of genes that go well or badly together, and by a small effect of each network
that no gene explains. Some combinations do not train: their accuracy collapses. Everything follows from a seed.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

WIDTHS, DEPTHS, KERNELS, TYPES = (8, 16, 24, 32, 48, 64), (1, 2, 3, 4), (3, 5, 7), ("U", "S2", "S4", "S6", "S8")
_KINDS = (("width", WIDTHS), ("depth", DEPTHS), ("kernel", KERNELS), ("type", TYPES))
_TYPE_COST = np.array([1.0, 0.8, 0.5, 0.35, 0.25])
CHANCE = 0.1


@dataclass(frozen=True)
class Problem:
    """A problem of so many genes; `seed` makes another one of the same kind.

    `noise` is the deviation of the log error between two trainings of one network.
    """

    genes: int
    seed: int
    noise: float = 0.03
    budget: float = 0.5  # quantile of the log cost of random networks

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.genes, self.seed])
        stages = math.ceil(self.genes / 4)
        genes = [(stage, *_KINDS[k]) for stage in range(stages) for k in range(4)][: self.genes]
        names = {f"s{stage}.{gene}": choices for stage, gene, choices in genes}
        pairs = [tuple(rng.choice(self.genes, 2, replace=False)) for _ in range(self.genes)]
        sizes = [len(choices) for choices in names.values()]
        values = {
            "choices": names,
            "sizes": np.array(sizes),
            "resolution": 4.0 ** -np.floor(np.arange(stages) * 3 / stages),
            "gain": rng.gamma(2.0, 0.5, stages) / stages,
            "exponent": rng.uniform(0.3, 1.0, (stages, 3)),
            "affinity": [rng.normal(0, 0.5, size) / math.sqrt(self.genes) for size in sizes],
            "type_effect": rng.normal(0, 0.1, (stages, len(TYPES))) + np.linspace(0, 0.15, len(TYPES)),
            "pairs": pairs,
            "pair_effect": [rng.normal(0, 0.5, (sizes[a], sizes[b])) / math.sqrt(self.genes) / 2 for a, b in pairs],
            "bad": [(a, b, rng.integers(sizes[a]), rng.integers(sizes[b])) for a, b in pairs[:1]],
            "mix": rng.integers(1, 2**31, self.genes),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        sample = self.random(4000, np.random.default_rng(0))
        object.__setattr__(self, "limit", float(np.quantile(self.macs(sample), self.budget)))

    def random(self, count: int, rng: np.random.Generator) -> Codes:
        return rng.integers(0, self.sizes, (count, self.genes))

    def macs(self, codes: Codes) -> Floats:
        """Cost of each row of gene indices."""
        total = np.full(len(codes), 1e5)
        before = np.full(len(codes), 16.0)
        for stage, resolution in enumerate(self.resolution):
            width, depth, kernel, layer = self._stage(codes, stage)
            pointwise = (before + (depth - 1) * width) * width * _TYPE_COST[layer]
            total += 1024 * resolution * (pointwise + depth * width * kernel**2)
            before = width
        return total

    def error(self, codes: Codes) -> Floats:
        """Noise-free error of each row."""
        log_error = np.full(len(codes), math.log(0.75))
        for stage in range(len(self.resolution)):
            width, depth, kernel, layer = self._stage(codes, stage)
            a, b, c = self.exponent[stage]
            capacity = a * np.log(width / 8) + b * np.log(depth) + 0.4 * c * np.log(kernel / 3)
            log_error -= self.gain[stage] * 2.4 * (1 - np.exp(-0.8 * capacity))
            log_error += self.gain[stage] * self.type_effect[stage][layer]
        for gene, effect in enumerate(self.affinity):
            log_error += 0.15 * effect[codes[:, gene]]
        for (a, b), effect in zip(self.pairs, self.pair_effect, strict=True):
            log_error += 0.2 * effect[codes[:, a], codes[:, b]]
        log_error += 0.02 * (2 * self._hash(codes) - 1)
        error = np.minimum(np.exp(log_error), 1 - CHANCE)
        for a, b, x, y in self.bad:
            error[(codes[:, a] == x) & (codes[:, b] == y)] = 1 - CHANCE
        return error

    def trained(self, codes: tuple[int, ...], seed: int) -> float:
        """Accuracy after one training: the noise depends on the network and the seed."""
        row = np.array([codes])
        draw = np.random.default_rng([self.genes, self.seed, seed, *codes]).normal()
        return float(1 - np.minimum(1.0, self.error(row) * np.exp(self.noise * draw))[0])

    def curve(self, codes: tuple[int, ...], seed: int, epochs: int = 8) -> list[float]:
        """Accuracy after each epoch of a training; the last one is that of `trained`.

        Networks learn at different speeds, and early epochs are noisy: their rank correlation with the last one is like
        that of the table of trained networks (0.5 after a quarter of the epochs, 0.9 after a half).
        """
        final = math.log(1 - self.trained(codes, seed) + 1e-9)
        start = math.log(1 - CHANCE)
        rng = np.random.default_rng([self.genes, self.seed, seed, 1, *codes])
        speed = 1.8 * math.exp(0.3 * rng.normal())
        left = 1 - np.arange(1, epochs + 1) / epochs
        jitter = 0.7 * self.noise * rng.normal(size=epochs) * np.sqrt(left) * epochs**0.5
        log_errors = start + (final - start) * (1 - left**speed) + jitter
        return (1 - np.exp(np.minimum(log_errors, 0.0))).tolist()

    def _stage(self, codes: Codes, stage: int) -> tuple[Floats, Floats, Floats, Codes]:
        columns = [codes[:, i] if (i := 4 * stage + k) < self.genes else np.zeros(len(codes), int) for k in range(4)]
        tables = (np.array(WIDTHS, float), np.array(DEPTHS, float), np.array(KERNELS, float))
        width, depth, kernel = (table[column] for table, column in zip(tables, columns, strict=False))
        return width, depth, kernel, columns[3]

    def _hash(self, codes: Codes) -> Floats:
        mixed = (codes * self.mix).sum(1) % 2147483647
        return (mixed * 48271 % 2147483647) / 2147483647

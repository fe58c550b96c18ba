"""Whether numbers that need no training help to predict the networks of the table.

    python -m benchmarks.zero_cost --data path/to/cifar10 --out benchmarks/results/zero_cost.json

Each number is given to the sampler's model as the only trait of the space. From one training of 15 to 80 random
networks of a part of the table it predicts what the others are worth (`Table.unseen_top1`). A result is Kendall's tau
of that. Numbers are to be chosen on the half with the most MACs, which no search of `search_efficiency.py` touches.

Scores are the mean over two initial weights, on one batch of 64 training images: `naswot` (log determinant of the
kernel of ReLU patterns), `synflow` (log, without normalisation), `grad_norm` and `snip` (log), `jacov` (sum of log
eigenvalues of the correlations between input gradients), `zen` (without shortcuts). `random` is noise, to compare with.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from scipy.stats import kendalltau
from torch import Tensor, nn

from benchmarks.tables.make_table import IMAGE_SIZE
from benchmarks.tables.table import Table, arch_of, table_space
from bsconv_nas.base.limits import Limits
from bsconv_nas.data import load_search_data
from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.nn.blocks import Block
from bsconv_nas.nn.build import Network, build
from bsconv_nas.pareto import CostAxis
from bsconv_nas.samplers.encoding import Encoder
from bsconv_nas.samplers.gp import Floats, Kernel, Posterior, fit
from bsconv_nas.spaces.genes import GeneSpace, Genotype
from bsconv_nas.study.settings import provenance

SIZES = (15, 20, 40, 80)
_IMAGES, _WEIGHTS = 64, 2
Batch = tuple[Tensor, Tensor]


class _Nothing(nn.Module):
    def forward(self, x: Tensor) -> float:
        return 0.0


def naswot(arch: ArchSpec, batch: Batch, seed: int) -> float:
    network, (images, _) = build(arch, seed).train(), batch
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64)

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        on = (output > 0).flatten(1).float()
        kernel.add_((on @ on.T + (1 - on) @ (1 - on).T).double())

    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(add)
    with torch.no_grad():
        network(images)
    return float(torch.linalg.slogdet(kernel)[1])


def synflow(arch: ArchSpec, batch: Batch, seed: int) -> float:
    network = build(arch, seed).double()
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    network.norm = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    torch.autograd.backward(network(torch.ones(1, *batch[0].shape[1:], dtype=torch.float64)).sum())
    return _log_saliency(_weights(network))


def grad_norm(arch: ArchSpec, batch: Batch, seed: int) -> float:
    return math.log(sum(float(_gradient(weight).norm()) for weight in _after_loss(arch, batch, seed)))


def snip(arch: ArchSpec, batch: Batch, seed: int) -> float:
    return _log_saliency(_after_loss(arch, batch, seed))


def jacov(arch: ArchSpec, batch: Batch, seed: int) -> float:
    images = batch[0].clone().requires_grad_()
    torch.autograd.backward(build(arch, seed).train()(images).sum())
    spectrum = torch.linalg.eigvalsh(torch.corrcoef(_gradient(images).flatten(1).double()))
    return float((spectrum.clamp(min=0) + 1e-3).log().sum())


def zen(arch: ArchSpec, batch: Batch, seed: int) -> float:
    network, scales = build(arch, seed).train(), list[float]()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, generator=torch.Generator().manual_seed(seed))
        elif isinstance(module, Block) and module.shortcut is not None:
            module.shortcut = _Nothing()
    generator = torch.Generator().manual_seed(seed)
    noise, change = (torch.randn(batch[0].shape, generator=generator) for _ in range(2))

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        scales.append(0.5 * math.log(float(inputs[0].var((0, 2, 3), unbiased=False).mean())))

    with torch.no_grad():
        after = network.blocks(network.stem(noise + 0.01 * change))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.register_forward_hook(add)
        before = network.blocks(network.stem(noise))
    return math.log(float((after - before).abs().sum((1, 2, 3)).mean())) + sum(scales)


SCORES: dict[str, Callable[[ArchSpec, Batch, int], float]] = {
    score.__name__: score for score in (naswot, synflow, grad_norm, snip, jacov, zen)
}


def _after_loss(arch: ArchSpec, batch: Batch, seed: int) -> list[Tensor]:
    network = build(arch, seed).train()
    torch.autograd.backward(nn.functional.cross_entropy(network(batch[0]), batch[1]))
    return _weights(network)


def _weights(network: Network) -> list[Tensor]:
    return [module.weight for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def _log_saliency(weights: list[Tensor]) -> float:
    return math.log(sum(float((weight.detach() * _gradient(weight)).abs().sum()) for weight in weights))


def _gradient(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


def scored(networks: list[Genotype], batch: Batch) -> tuple[dict[str, Floats], dict[str, float]]:
    """Each score of each network, scaled to [0, 1], and the mean CPU milliseconds of one."""
    values: dict[str, Floats] = {}
    ms: dict[str, float] = {}
    for name, score in SCORES.items():
        begin = time.process_time()
        values[name] = np.array([mean(score(arch_of(g), batch, seed) for seed in range(_WEIGHTS)) for g in networks])
        ms[name] = round(1000 * (time.process_time() - begin) / len(networks) / _WEIGHTS, 1)
        print(f"{name:10s} {ms[name]} ms", flush=True)
    return {name: (v - v.min()) / (v.max() - v.min()) for name, v in values.items()}, ms


def agreement(
    table: Table, networks: list[Genotype], trait: dict[Genotype, float] | None, size: int, draws: int = 60
) -> list[float]:
    """Kendall's tau of predictions from `size` trainings, for each of so many random draws of them."""
    macs = {genotype: table.row(genotype).macs for genotype in networks}
    genes = {gene.name: gene.choices for gene in table_space().genes}
    traits = (lambda genotype: {"trait": trait[genotype]}) if trait else None
    space = GeneSpace(genes, lambda genotype: {"macs": macs[genotype]}, traits=traits)
    axis, cheapest = CostAxis(min(macs.values()), max(macs.values())), min(networks, key=lambda g: macs[g])
    encoder = Encoder(space, axis, "macs", Limits(), cheapest)
    features = encoder.features([encoder.point(genotype) for genotype in networks])
    seen = np.array([math.log(1 - table.row(genotype).val_top1[-1]) for genotype in networks])
    worth = np.array([math.log(1 - table.unseen_top1(genotype)) for genotype in networks])
    kernel, nothing = Kernel(encoder.sizes, features.ranks.shape[1]), np.zeros(size)
    taus: list[float] = []
    for draw in range(draws):
        order = np.random.default_rng([size, draw]).permutation(len(networks))
        known, others = order[:size], order[size:]
        targets = (seen[known] - seen[known].mean()) / seen[known].std()
        theta = fit(kernel, features.take(known), targets, nothing)
        posterior = Posterior(kernel, theta, features.take(known), targets, nothing)
        tau, _ = kendalltau(posterior.mean(features.take(others)), worth[others])
        taus.append(float(np.asarray(tau)))
    return taus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="cifar10, or a folder of its images")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load_search_data(arguments.data, image_size=IMAGE_SIZE)
    rows = np.random.default_rng(0).choice(len(data.train_labels), _IMAGES, replace=False)
    images, labels = torch.as_tensor(data.train_images[rows]), torch.as_tensor(data.train_labels[rows]).long()
    table, networks = Table.read(), list(table_space().enumerate())
    values, ms = scored(networks, (images.permute(0, 3, 1, 2).float() / 255, labels))
    values["random"] = np.random.default_rng(0).random(len(networks))
    values["path"] = np.array([table_space().traits(genotype)["path"] for genotype in networks])
    macs = np.array([table.row(genotype).macs for genotype in networks])
    half, quarter = np.quantile(macs, 0.5), np.quantile(macs, 0.25)
    parts = {"most MACs": macs > half, "median of MACs": macs <= half, "lowest quarter": macs <= quarter}
    taus: dict[str, dict[str, list[float]]] = {}
    for part, chosen in parts.items():
        inside = [genotype for genotype, is_in in zip(networks, chosen, strict=True) if is_in]
        for name in ("nothing", *values):
            trait = None if name == "nothing" else dict(zip(networks, values[name].tolist(), strict=True))
            means = [round(mean(agreement(table, inside, trait, size)), 3) for size in SIZES]
            taus.setdefault(part, {})[name] = means
            print(f"{part:15s} {name:10s}", *means, flush=True)
    if arguments.out:
        result = {"schema_version": 1, "provenance": provenance(), "sizes": SIZES, "score_ms": ms, "tau": taus}
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Long trainings, against which brief ones are judged; resumable.

    python -m benchmarks.long_truth table --data path/to/cifar10 --epochs 64
    python -m benchmarks.long_truth cifar --data path/to/cifar10 --epochs 30

`table`: 60 networks of the table's space, trained by the table's recipe for other numbers of epochs (64 are eight times
the table's). Half of them are the nearest to the front by their first training in the table, five in each sixth of the
MACs; the others are the first ones of the table's random order.

`cifar`: networks of the `cifar` space within 6 M MACs, trained by the recipe of final trainings: 12 of the front that
the study `cifar10-6M` found, 12 random ones, 6 random ones that are deep with shortcuts, 6 that are wide and without
shortcuts as MobileNetV1 is, and the 15 hand-made ones of the paper's families.

Which networks are trained was settled before any long training. Each training is a row of a CSV file with its whole
curve; rows that are there are not trained again, and a training that was broken off goes on from its last epoch.
Second seeds of each fifth network come last.
"""

import argparse
import csv
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.tables.make_table import IMAGE_SIZE as TABLE_IMAGE_SIZE
from benchmarks.tables.make_table import RECIPE as TABLE_RECIPE
from benchmarks.tables.table import Table, arch_of, table_space, unseen_top1
from bsconv_nas.data import load_search_data, load_test_data
from bsconv_nas.evaluation import EpochResult
from bsconv_nas.final.nearest import named_references
from bsconv_nas.models.named import build_named
from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.networks.cost import cost_of
from bsconv_nas.nn.build import build
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.genes import Genotype
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.train.checkpoint import load_weights, save_weights
from bsconv_nas.train.evaluator import set_input_statistics
from bsconv_nas.train.loop import evaluate_top1, train
from bsconv_nas.train.placement import TensorData, shared_tensor
from bsconv_nas.train.recipe import FULL_RECIPES, Recipe

RESULTS = Path(__file__).parent / "results"
STUDY = Path(__file__).parents[1] / "studies" / "cifar10-6M"
HEADER = ("network", "group", "seed", "epochs", "macs", "params", "val_top1", "train_loss", "test_top1", "seconds")
MACS = 6e6
HAND_MADE = "cifar_mobilenet*,cifar_resnet20*,cifar_wrn16*"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network to be trained long: a name, the reason why it was chosen, and how it is built."""

    name: str
    group: str
    macs: int
    params: int
    build: Callable[[int], nn.Module]  # by the seed of its weights


@dataclass(frozen=True, slots=True)
class Problem:
    """Networks in the order of their trainings, the recipe for a number of epochs, and the side of the images."""

    candidates: Sequence[Candidate]
    recipe: Callable[[int, int], Recipe]  # (epochs, training images)
    image_size: int


def table_problem() -> Problem:
    """The networks of the table's space that are trained long."""
    near = _near_front(5, 6)
    others = [genotype for genotype in _random_order() if genotype not in near]
    chosen = chain.from_iterable(zip(near, others, strict=False))  # in turns, so that a part of them is a fair sample
    candidates = [
        _candidate(json.dumps(genotype), "near the front" if genotype in near else "random", arch_of(genotype))
        for genotype in chosen
    ]
    return Problem(candidates, lambda epochs, _: TABLE_RECIPE.model_copy(update={"epochs": epochs}), TABLE_IMAGE_SIZE)


def _near_front(each: int, parts: int) -> list[Genotype]:
    """The nearest to the front by the first training, `each` of every one of `parts` equal parts of the MACs."""
    rows = sorted((row for row in Table.read().rows if row.seed == 0), key=lambda row: row.macs)
    gap = {
        row.genotype: max(unseen_top1(other) for other in rows if other.macs <= row.macs) - unseen_top1(row)
        for row in rows
    }
    size = len(rows) // parts
    bands = [[row.genotype for row in rows[part * size : (part + 1) * size]] for part in range(parts)]
    nearest = [sorted(band, key=gap.__getitem__)[:each] for band in bands]
    return [genotype for rank in zip(*nearest, strict=True) for genotype in rank]


def _random_order() -> list[Genotype]:
    networks = list(table_space().enumerate())
    random.Random(0).shuffle(networks)
    return networks


def cifar_problem() -> Problem:
    """The networks of the `cifar` space and of the paper that are trained long."""
    space = ArchSpace(find_space("cifar"), (32, 32), num_classes=10)
    front = [ArchSpec.from_dict(member["arch"]) for member in json.loads((STUDY / "front.json").read_text())["front"]]
    spread = [front[round(i * (len(front) - 1) / 11)] for i in range(12)]
    groups = {
        "front": [_candidate(arch.arch_id, "front", arch) for arch in spread],
        "random": _random_networks(space, "random", 12, lambda genes: True),
        "deep with shortcuts": _random_networks(space, "deep with shortcuts", 6, _is_deep_with_shortcuts),
        "wide without shortcuts": _random_networks(space, "wide without shortcuts", 6, _is_wide_without_shortcuts),
        "hand-made": list(_hand_made()),
    }
    most = max(map(len, groups.values()))
    in_turns = [group[i] for i in range(most) for group in groups.values() if i < len(group)]
    return Problem(in_turns, lambda epochs, images: _final_recipe(epochs).for_data(images, 32), 32)


def _final_recipe(epochs: int) -> Recipe:
    return FULL_RECIPES["modern"].model_copy(update={"epochs": epochs})


def _random_networks(
    space: ArchSpace, group: str, count: int, fits: Callable[[Mapping[str, Any]], bool]
) -> list[Candidate]:
    rng, chosen = random.Random(group), dict[str, Candidate]()
    while len(chosen) < count:
        genotype = space.random(rng)
        if space.cost(genotype)["macs"] <= MACS and fits(space.to_params(genotype)):
            arch = space.decode(genotype)
            chosen.setdefault(arch.arch_id, _candidate(arch.arch_id, group, arch))
    return list(chosen.values())


def _depth(genes: Mapping[str, Any]) -> int:
    return sum(genes[f"s{stage}.depth"] for stage in range(1, 6))


def _is_deep_with_shortcuts(genes: Mapping[str, Any]) -> bool:
    return _depth(genes) >= 14 and genes["shortcut"] != "none"


def _is_wide_without_shortcuts(genes: Mapping[str, Any]) -> bool:
    last = genes["s5.width"] if genes["s5.depth"] else genes["s4.width"]
    return last >= 256 and _depth(genes) <= 12 and genes["shortcut"] == "none"


def _hand_made() -> Iterator[Candidate]:
    for _, cost in named_references(HAND_MADE, [MACS], (32, 32), 10):
        yield Candidate(cost.name, "hand-made", cost.macs, cost.params, partial(build_named, cost.name, 10))


def _candidate(name: str, group: str, arch: ArchSpec) -> Candidate:
    cost = cost_of(arch)
    return Candidate(name, group, cost.macs, cost.params, lambda seed: build(arch, seed))


PROBLEMS: dict[str, Callable[[], Problem]] = {"table": table_problem, "cifar": cifar_problem}


class Trainer:
    """Trains the networks of a problem on one thread; what is unfinished is kept in `checkpoints`."""

    def __init__(self, problem: Problem, data: str, checkpoints: Path) -> None:
        torch.set_num_threads(1)
        self.problem = problem
        self.checkpoints = checkpoints
        images = load_search_data(data, image_size=problem.image_size)
        test = load_test_data(data, image_size=problem.image_size)
        self.statistics = images.statistics()
        self.data = TensorData(
            *map(shared_tensor, (images.train_images, images.train_labels, images.val_images, images.val_labels))
        )
        self.test = tuple(map(shared_tensor, (test.images, test.labels)))

    def row(self, candidate: Candidate, seed: int, epochs: int) -> dict[str, Any]:
        """Train a network and test it, as a row of the file."""
        recipe = self.problem.recipe(epochs, len(self.data.train_images))
        network = candidate.build(seed)
        if hasattr(network, "norm"):
            set_input_statistics(network, *self.statistics)
        key = f"{candidate.name} {seed} {recipe.identity}"
        checkpoint = self.checkpoints / f"{candidate.name.replace('/', '_')}-{seed}-{epochs}.safetensors"
        weights = checkpoint.with_suffix(".weights")

        def keep(result: EpochResult, evaluated: nn.Module) -> None:
            if result.final:  # written before the checkpoint, so whoever goes on from the last epoch has them
                save_weights(weights, evaluated)

        results = []
        for result in train(network, self.data, recipe, seed, checkpoint, key, keep):
            results.append(result)
            print(f"  {result.epoch}/{epochs}: {result.top1:.4f}", flush=True)
        load_weights(weights, network)
        row = {
            "network": candidate.name,
            "group": candidate.group,
            "seed": seed,
            "epochs": epochs,
            "macs": candidate.macs,
            "params": candidate.params,
            "val_top1": " ".join(f"{result.top1:.4f}" for result in results),
            "train_loss": " ".join(f"{result.metrics['train_loss']:.4f}" for result in results),
            "test_top1": f"{evaluate_top1(network, *self.test):.4f}",
            "seconds": f"{sum(result.metrics['seconds'] for result in results):.1f}",
        }
        checkpoint.unlink(missing_ok=True)
        weights.unlink()
        return row


def plan(candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, int]]:
    """All trainings in order: each network with seed 0, then each fifth one with seed 1."""
    yield from ((candidate, 0) for candidate in candidates)
    yield from ((candidate, 1) for candidate in candidates[::5])


def read_rows(path: Path) -> list[dict[str, str]]:
    """The trainings that the file has."""
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add a training to the file, which is begun where there is none."""
    begin = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, HEADER, lineterminator="\n")
        if begin:
            writer.writeheader()
        writer.writerow(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", choices=PROBLEMS)
    parser.add_argument("--data", required=True, help="cifar10, or a folder of its images")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--hours", type=float, default=float("inf"), help="no training begins later than this")
    parser.add_argument("--checkpoints", type=Path, default=Path(".data/long_truth"))
    parser.add_argument("--out", type=Path, help="CSV file; default: benchmarks/results/long_truth_PROBLEM.csv")
    arguments = parser.parse_args()
    path = arguments.out or RESULTS / f"long_truth_{arguments.problem}.csv"
    arguments.checkpoints.mkdir(parents=True, exist_ok=True)
    problem = PROBLEMS[arguments.problem]()
    done = {(row["network"], int(row["seed"]), int(row["epochs"])) for row in read_rows(path)}
    left = [job for job in plan(problem.candidates) if (job[0].name, job[1], arguments.epochs) not in done]
    print(f"{len(left)} trainings to go", flush=True)
    trainer, begin = Trainer(problem, arguments.data, arguments.checkpoints), time.monotonic()
    for candidate, seed in left:
        if time.monotonic() - begin > arguments.hours * 3600:
            break
        print(f"{candidate.group}: {candidate.name}, seed {seed}, {candidate.macs / 1e6:.2f} M MACs", flush=True)
        append_row(path, trainer.row(candidate, seed, arguments.epochs))


if __name__ == "__main__":
    main()

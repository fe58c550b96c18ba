"""Train every network of the table's space briefly; resumable: rows that the file has are not trained again.

    python -m benchmarks.tables.make_table --data path/to/cifar10

The order is random but fixed, so a part of the table is a fair sample of it. Second seeds come at the end: of each
fourth network, and of those that may be on a front. Rows are appended as they come. `README.md` beside this file is the
data card.
"""

import argparse
import csv
import random
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

from benchmarks.tables.table import EPOCHS, FILE, HEADER, Row, Table, arch_of, table_space, unseen_top1
from bsconv_nas.data import load_search_data, load_test_data
from bsconv_nas.networks.cost import cost_of
from bsconv_nas.nn.build import build
from bsconv_nas.spaces.genes import Genotype
from bsconv_nas.train.evaluator import set_input_statistics
from bsconv_nas.train.loop import evaluate_top1, train
from bsconv_nas.train.placement import TensorData, shared_tensor
from bsconv_nas.train.recipe import Recipe

IMAGE_SIZE = 16
_NEAR = 0.016  # twice the deviation of one training
RECIPE = Recipe(epochs=EPOCHS, train_fraction=3072 / 45000, batch_size=64, learning_rate=0.1, crop_padding=2)


def plan(done: Table) -> list[tuple[Genotype, int]]:
    """All trainings in order: each network with seed 0, then a quarter and what is near a front with seed 1."""
    networks = list(table_space().enumerate())
    random.Random(0).shuffle(networks)
    second = dict.fromkeys([*networks[::4], *near_front(done)])
    return [(genotype, 0) for genotype in networks] + [(genotype, 1) for genotype in second]


def near_front(done: Table) -> list[Genotype]:
    """Networks of the cheaper half whose first training is within `_NEAR` of the front, nearest first.

    Searches are compared there, by the mean of both trainings. Were only those trained again that seem to be on the
    front, they would lose their luck while others kept theirs.
    """
    first = [row for row in done.rows if row.seed == 0]
    if len(first) < table_space().size:
        return []
    median = statistics.median(row.macs for row in first)
    front = {row: max(unseen_top1(other) for other in first if other.macs <= row.macs) for row in first}
    gaps = {row: front[row] - unseen_top1(row) for row in first if row.macs <= median}
    return [row.genotype for row in sorted(gaps, key=lambda row: gaps[row]) if gaps[row] <= _NEAR]


class Trainer:
    """Trains networks of the table on one thread, the images held in memory."""

    def __init__(self, data: str) -> None:
        torch.set_num_threads(1)
        images = load_search_data(data, image_size=IMAGE_SIZE)
        test = load_test_data(data, image_size=IMAGE_SIZE)
        self.statistics = images.statistics()
        self.data = TensorData(
            *map(shared_tensor, (images.train_images, images.train_labels, images.val_images, images.val_labels))
        )
        self.test = tuple(map(shared_tensor, (test.images, test.labels)))

    def __call__(self, genotype: Genotype, seed: int) -> Row:
        arch = arch_of(genotype)
        network = build(arch, seed)
        set_input_statistics(network, *self.statistics)
        begin = time.process_time()
        curve = tuple(result.top1 for result in train(network, self.data, RECIPE, seed))
        seconds = time.process_time() - begin
        cost = cost_of(arch)
        return Row(genotype, seed, cost.macs, cost.params, curve, evaluate_top1(network, *self.test), seconds)


_trainers: dict[str, Trainer] = {}  # of a worker process


def _train(data: str, genotype: Genotype, seed: int) -> Row:
    if data not in _trainers:
        _trainers[data] = Trainer(data)
    return _trainers[data](genotype, seed)


def rows(data: str, left: list[tuple[Genotype, int]], workers: int) -> Iterator[Row]:
    """Train what is left, yielding rows in order."""
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield from pool.map(_train, [data] * len(left), *zip(*left, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="cifar10, or a folder of its images")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--most", type=int, help="rows of this run")
    parser.add_argument("--out", type=Path, default=FILE)
    arguments = parser.parse_args()
    done = Table.read(arguments.out)
    left = [key for key in plan(done) if key not in done][: arguments.most]
    print(f"{len(done.rows)} rows done, {len(left)} to go", flush=True)
    if not left:
        return
    with arguments.out.open("a", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if stream.tell() == 0:
            writer.writerow(HEADER)
        for row in rows(arguments.data, left, arguments.workers):
            writer.writerow(row.as_csv())
            stream.flush()


if __name__ == "__main__":
    main()

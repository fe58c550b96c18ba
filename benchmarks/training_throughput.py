"""Training on a CPU: this project's loop against that of bsconv 0.4.0, side by side on the same networks.

    python -m benchmarks.training_throughput --data path/to/cifar10 [--parts pairs stages data workers accuracy]

pairs: images per CPU second of a whole epoch (training and, at a ninth of its images, validation), the two loops in
turn, each in a process of its own with one thread. stages: shares of a step, and what of the measured peak of matrix
products and of memory it reaches. data: augmentation alone. workers: two processes, or two threads, against one.
accuracy: equal epochs of the same recipe from the same initial weights, several seeds, of the original loop and of ours
in both precisions. Needs `bsconv==0.4.0`.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.seed_loop import SeedTraining
from benchmarks.stages import peaks, stage_shares
from bsconv_nas.data import ImageData, load_search_data
from bsconv_nas.data.images import Images
from bsconv_nas.models import get_model, model_costs
from bsconv_nas.study.settings import provenance
from bsconv_nas.train.augment import training_batches
from bsconv_nas.train.loop import train
from bsconv_nas.train.placement import place, shared_tensor
from bsconv_nas.train.precision import fastest_precision
from bsconv_nas.train.recipe import FULL_RECIPES, Precision, Recipe

NETWORKS = ("cifar_mobilenetv1_w1d4_bsconvu", "cifar_resnet20_bsconvu", "cifar_mobilenetv2_w1d4_bsconvs_p1d6")
PARTS = ("pairs", "stages", "data", "workers", "accuracy")


def part_of(data: ImageData, images: int) -> ImageData:
    """So many images from all over the data, whose folders come class by class, and a ninth to validate."""
    train, val = _spread(data.train_images, images), _spread(data.val_images, max(1, images // 9))
    return replace(
        data,
        train_images=data.train_images[train],
        train_labels=data.train_labels[train],
        val_images=data.val_images[val],
        val_labels=data.val_labels[val],
    )


def _spread(images: Images, count: int) -> NDArray[np.int64]:
    """Indices of so many images at equal distances."""
    return np.linspace(0, len(images) - 1, min(count, len(images))).astype(np.int64)


def seed_recipe(epochs: int, precision: Precision) -> Recipe:
    """The original script's recipe for few epochs: a tenth of the rate in the last one."""
    changes = {"epochs": epochs, "milestones": (epochs - 1,) if epochs > 1 else ()}
    return FULL_RECIPES["seed"].model_copy(update={**changes, "precision": precision})


def our_epochs(precision: Precision, name: str, data: ImageData, seed: int, epochs: int) -> list[float]:
    """Accuracy after each epoch of this project's loop."""
    torch.manual_seed(seed)
    network = get_model(name, data.num_classes)
    arrays = (data.train_images, data.train_labels, data.val_images, data.val_labels)
    tensors = place(arrays, "cpu")
    return [result.top1 for result in train(network, tensors, seed_recipe(epochs, precision), seed)]


def seed_epochs(name: str, data: ImageData, seed: int, epochs: int) -> list[float]:
    """The same of the loop of bsconv 0.4.0."""
    return list(SeedTraining(name, data, seed).epochs(epochs))


LOOPS: dict[str, Callable[[str, ImageData, int, int], list[float]]] = {
    "seed": seed_epochs,
    "ours": partial(our_epochs, fastest_precision("cpu")),
    "float32": partial(our_epochs, "float32"),
    "bfloat16": partial(our_epochs, "bfloat16"),
}


def measured(
    loop: str, name: str, source: str, images: int, seed: int, epochs: int = 1, threads: int = 1
) -> dict[str, float]:
    """In a process of one loop: accuracy, and images per second of CPU and of the clock."""
    torch.set_num_threads(threads)
    data = part_of(load_search_data(source), images)
    cpu, clock = time.process_time(), time.perf_counter()
    top1 = LOOPS[loop](name, data, seed, epochs)[-1]
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    return {"top1": top1, "per_cpu_s": images * epochs / cpu, "per_s": images * epochs / clock}


def pairs(pools: dict[str, Pool], networks: tuple[str, ...], source: str, images: int, repeats: int) -> Any:
    """Ratios of images per CPU second, pair by pair, after a warm-up of each."""
    table: dict[str, Any] = {}
    for name in networks:
        rates: dict[str, list[float]] = {loop: [] for loop in pools}
        for repeat in range(repeats + 1):
            for loop, pool in pools.items():
                size = images if repeat else 256
                rates[loop].append(pool.apply(measured, (loop, name, source, size, repeat))["per_cpu_s"])
        ratios = [ours / seed for ours, seed in zip(rates["ours"][1:], rates["seed"][1:], strict=True)]
        table[name] = {
            "median_ratio": round(statistics.median(ratios), 2),
            "ratios": [round(ratio, 2) for ratio in ratios],
            **{f"{loop}_images_per_cpu_s": round(statistics.median(runs[1:]), 1) for loop, runs in rates.items()},
        }
        print(name, table[name], flush=True)
    return table


def data_rate(source: str, images: int) -> float:
    """Images per CPU second that augmentation alone gives."""
    torch.set_num_threads(1)
    data = part_of(load_search_data(source), images)
    train_images, labels = shared_tensor(data.train_images), shared_tensor(data.train_labels)
    rates: list[float] = []
    for seed in range(5):
        begin = time.process_time()
        seen = sum(
            len(batch_labels)
            for _, batch_labels in training_batches(train_images, labels, seed_recipe(1, "float32"), seed)
        )
        rates.append(seen / (time.process_time() - begin))
    return round(statistics.median(rates))


def two_workers(one: Pool, other: Pool, name: str, source: str, images: int, repeats: int) -> Any:
    """How many times the images per second of one worker two have, and one with two threads."""
    ratios: list[float] = []
    threads: list[float] = []
    for repeat in range(repeats):
        job = ("ours", name, source, images, repeat)
        alone = one.apply(measured, job)["per_s"]
        threads.append(one.apply(measured, (*job, 1, 2))["per_s"] / alone)
        waiting = [pool.apply_async(measured, job) for pool in (one, other)]
        ratios.append(sum(result.get()["per_s"] for result in waiting) / alone)
    return {
        "median_ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "two_threads_median_ratio": round(statistics.median(threads), 2),
        "two_threads_ratios": [round(ratio, 2) for ratio in threads],
    }


def accuracy(pools: Sequence[Pool], networks: tuple[str, ...], source: str, images: int, epochs: int, seeds: int):
    """Accuracy after equal epochs, by network, loop and seed, and of each pair of loops the difference."""
    table: dict[str, Any] = {}
    loops = ("seed", "float32", "bfloat16")
    for name in networks:
        jobs = [(loop, name, source, images, seed, epochs) for seed in range(seeds) for loop in loops]
        waiting = [pools[n % len(pools)].apply_async(measured, job) for n, job in enumerate(jobs)]
        accuracies: dict[str, list[float]] = {loop: [] for loop in loops}
        for job, result in zip(jobs, waiting, strict=True):
            accuracies[job[0]].append(round(result.get()["top1"], 4))
        pairs = {
            f"{one} - {other}": difference(accuracies[one], accuracies[other])
            for one, other in combinations(loops[::-1], 2)
        }
        table[name] = {**accuracies, **pairs}
        print(name, table[name], flush=True)
    return table


def difference(one: list[float], other: list[float]) -> dict[str, float | None]:
    """Of the means of two loops over seeds, with its standard error."""
    values = (one, other)
    error = sum(statistics.variance(v) / len(v) for v in values) ** 0.5 if len(one) > 1 else None
    return {
        "mean": round(statistics.mean(one) - statistics.mean(other), 4),
        "standard_error": error and round(error, 4),
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """All parts asked for."""
    spawn = get_context("spawn")
    networks = tuple(arguments.networks)
    result: dict[str, Any] = {"images": arguments.images, "precision": fastest_precision("cpu"), **provenance()}
    with spawn.Pool(1) as seed, spawn.Pool(1) as ours, spawn.Pool(1) as other:
        pools = {"seed": seed, "ours": ours}
        if "pairs" in arguments.parts:
            result["pairs"] = pairs(pools, networks, arguments.data, arguments.images, arguments.repeats)
        if "workers" in arguments.parts:
            result["workers"] = two_workers(
                ours, other, networks[0], arguments.data, arguments.images, arguments.repeats
            )
        if "data" in arguments.parts:
            result["data_images_per_cpu_s"] = ours.apply(data_rate, (arguments.data, 20_000))
        if "stages" in arguments.parts:
            peak = result["peaks"] = ours.apply(peaks)
            costs = model_costs()
            macs = {name: costs[name].macs for name in networks}
            result["stages"] = {
                name: ours.apply(stage_shares, (name, macs[name], peak, result["precision"])) for name in networks
            }
        if "accuracy" in arguments.parts:
            result["accuracy_of"] = {
                "images": arguments.accuracy_images,
                "epochs": arguments.epochs,
                "seeds": arguments.seeds,
            }
            trained = (networks, arguments.data, arguments.accuracy_images, arguments.epochs, arguments.seeds)
            result["accuracy"] = accuracy((ours, other), *trained)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="cifar10, or a folder of its images")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--images", type=int, default=2560)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--accuracy-images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "training_throughput.json")
    arguments = parser.parse_args()
    result = measure(arguments)
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

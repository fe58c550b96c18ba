"""Training on one GPU: loops side by side, and trainings per hour with several at a time. Needs no Ray, no network.

    python -m benchmarks.gpu_throughput [--device cuda] [--data path/to/cifar10] [--parts steps loops together]

steps: milliseconds of a step, and seconds of the first five, for which a brief training waits: with the kernels of a
step started one by one or recorded, depthwise convolutions by cuDNN or by ours.
loops: images per second of an epoch, training only, in turn: the loop of bsconv 0.4.0 (`seed`, four processes transform
images; left out without `bsconv`), ours with the kernels of each step started one by one (`plain`), and with recorded
steps (`recorded`, the default on GPUs).
together: each training at a time is a process of its own on the same device, as in a search with `--gpus-per-trial
1/n`. They start together after a warm-up, and images are counted over the time until the last one ends; whether a CUDA
MPS daemon serves them is noted.
Without `--data` the images are made up, which changes accuracies, not speed. Runs on `--device cpu` too, with one
thread per process.
"""

import argparse
import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from multiprocessing import get_context
from multiprocessing.pool import Pool
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.training_throughput import part_of
from benchmarks.worker_memory import made_up
from bsconv_nas.data import ImageData, load_search_data
from bsconv_nas.models import get_model
from bsconv_nas.study.settings import provenance
from bsconv_nas.train.loop import train
from bsconv_nas.train.placement import TensorData, place
from bsconv_nas.train.precision import fastest_precision
from bsconv_nas.train.recipe import Recipe, default_recipe
from bsconv_nas.train.step import PlainStep, RecordedStep, Step, make_optimizer

PARTS = ("steps", "loops", "together")
NETWORKS = ("cifar_mobilenetv1_w1d4_bsconvu", "cifar_resnet20_bsconvu", "cifar_mobilenetv2_w1d4_bsconvs_p1d6")


def images_of(source: str | None, megabytes: int) -> ImageData:
    """CIFAR-10, or made-up images of its size."""
    return load_search_data(source) if source else made_up(megabytes)


def recipe_of(data: ImageData, device: str, epochs: int) -> Recipe:
    """The brief recipe of a search in the fastest precision."""
    return default_recipe(len(data.train_images), 32, True, epochs, precision=fastest_precision(device))


def one_training(
    name: str, source: str | None, megabytes: int, device: str, epochs: int, barrier: Barrier, seed: int
) -> dict[str, float]:
    """In a process of its own: warm up, wait for the others, train."""
    torch.set_num_threads(1)
    data, tensors = loaded(source, megabytes, device)
    recipe = recipe_of(data, device, epochs)
    few = 8 * recipe.batch_size
    warm = TensorData(tensors.train_images[:few], tensors.train_labels[:few], *few_of(tensors))
    list(train(get_model(name, 10), warm, recipe.model_copy(update={"epochs": 1}), seed))
    barrier.wait()
    begin = time.time()
    results = list(train(get_model(name, 10), tensors, recipe, seed))
    peak = torch.cuda.max_memory_allocated() / 2**20 if device.startswith("cuda") else 0.0
    return {"begin": begin, "end": time.time(), "top1": results[-1].top1, "peak_mb": peak}


@cache
def loaded(source: str | None, megabytes: int, device: str) -> tuple[ImageData, TensorData]:
    """The images, read and placed once in each process."""
    data = images_of(source, megabytes)
    return data, placed(data, device)


def together(pool: Pool, barrier: Barrier, name: str, count: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """`count` trainings of one network at a time: the barrier holds each in a process of its own."""
    common = (name, arguments.data, arguments.megabytes, arguments.device, arguments.epochs, barrier)
    rows = pool.starmap(one_training, [(*common, seed) for seed in range(count)], chunksize=1)
    seconds = max(row["end"] for row in rows) - min(row["begin"] for row in rows)
    data = images_of(arguments.data, arguments.megabytes)
    recipe = recipe_of(data, arguments.device, arguments.epochs)
    per_epoch = recipe.steps_per_epoch(len(data.train_images)) * min(recipe.batch_size, len(data.train_images))
    return {
        "at_a_time": count,
        "trainings_per_hour": round(3600 * count / seconds, 1),
        "images_per_s": round(count * arguments.epochs * per_epoch / seconds, 1),
        "top1": [round(row["top1"], 4) for row in rows],
        "peak_mb_each": round(max(row["peak_mb"] for row in rows)),
    }


def all_together(arguments: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """`together` for all networks and numbers, in the same processes."""
    spawn = get_context("spawn")
    table: dict[str, list[dict[str, Any]]] = {name: [] for name in arguments.networks}
    with spawn.Manager() as manager, spawn.Pool(max(arguments.at_a_time)) as pool:
        for name in arguments.networks:
            for count in arguments.at_a_time:
                barrier: Any = manager.Barrier(count)
                table[name].append(together(pool, barrier, name, count, arguments))
                print(name, json.dumps(table[name][-1]), flush=True)
    return table


def placed(data: ImageData, device: str) -> TensorData:
    """All images on the device."""
    return place((data.train_images, data.train_labels, data.val_images, data.val_labels), device)


def few_of(data: TensorData) -> tuple[torch.Tensor, torch.Tensor]:
    """A little validation data for the warm-up."""
    return data.val_images[:64], data.val_labels[:64]


def plain_step(network: torch.nn.Module, optimizer: torch.optim.SGD, recipe: Recipe, device: torch.device) -> Step:
    """A step that is never recorded."""
    return PlainStep(network, optimizer, recipe)


def recorded_step(network: torch.nn.Module, optimizer: torch.optim.SGD, recipe: Recipe, device: torch.device) -> Step:
    """A recorded step on GPUs."""
    step = PlainStep(network, optimizer, recipe)
    return RecordedStep(step) if device.type == "cuda" else step


def step_time(name: str, batch: int, device: torch.device, recorded: bool, own_depthwise: bool) -> dict[str, Any]:
    """Milliseconds of a step, and seconds of the first five."""
    network = get_model(name, 10).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    recipe = Recipe(precision=fastest_precision(device.type))
    make = recorded_step if recorded else plain_step
    step = make(network, make_optimizer(network, recipe, device), recipe, device)
    images = torch.rand(batch, 3, 32, 32, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (batch,), device=device)
    with nullcontext() if own_depthwise else patch("bsconv_nas.train.fast_routes.compiles", lambda _: False):
        first = _seconds(step, images, labels, 5)
        each = _seconds(step, images, labels, 60) / 60
    ways = {"batch": batch, "recorded": recorded, "own_depthwise": own_depthwise}
    return {**ways, "ms_per_step": round(1e3 * each, 3), "first_steps_s": round(first, 2)}


def _seconds(step: Step, images: torch.Tensor, labels: torch.Tensor, count: int) -> float:
    begin = time.perf_counter()
    for _ in range(count):
        loss = step(images, labels)
    loss.item()  # pyright: ignore[reportPossiblyUnboundVariable]
    return time.perf_counter() - begin


def steps(name: str, device: str) -> list[dict[str, Any]]:
    """All ways to do a step, those of cuDNN first: each way compiles what it needs itself."""
    where = torch.device(device)
    ways = [(128, False, False), (128, True, False), (512, True, False), (128, True, True), (512, True, True)]
    return [step_time(name, batch, where, recorded, own_depthwise) for batch, recorded, own_depthwise in ways]


def our_rate(step: Callable[..., Step], name: str, data: ImageData, device: str, batch_size: int) -> float:
    """Images per second of the second epoch: recordings are made in the first."""
    tensors = placed(data, device)
    recipe = recipe_of(data, device, 2).model_copy(update={"batch_size": batch_size})
    few = TensorData(tensors.train_images, tensors.train_labels, *few_of(tensors))
    with patch("bsconv_nas.train.loop.training_step", step):
        *_, last = train(get_model(name, 10), few, recipe, 0)
    return recipe.steps_per_epoch(len(data.train_images)) * recipe.batch_size / last.metrics["seconds"]


def seed_rate(name: str, data: ImageData, device: str) -> float:
    """The same of the loop of bsconv 0.4.0."""
    from benchmarks.seed_loop import SeedTraining

    training = SeedTraining(name, part_of(data, 2560), 0, device=device, workers=4)
    training._pass(train=True)  # pyright: ignore[reportPrivateUsage]
    begin = time.perf_counter()
    training._pass(train=True)  # pyright: ignore[reportPrivateUsage]
    return 2560 / (time.perf_counter() - begin)


def loops(name: str, data: ImageData, device: str, repeats: int) -> dict[str, Any]:
    """Median images per second of each loop, measured in turn, and pairwise ratios."""
    ways: dict[str, Callable[[], float]] = {
        "plain": lambda: our_rate(plain_step, name, data, device, 128),
        "recorded": lambda: our_rate(recorded_step, name, data, device, 128),
        "recorded_batch_512": lambda: our_rate(recorded_step, name, data, device, 512),
    }
    if importlib.util.find_spec("bsconv"):
        ways["seed"] = lambda: seed_rate(name, data, device)
    rates = {way: list[float]() for way in ways}
    for _ in range(repeats):
        for way, measure in ways.items():
            rates[way].append(measure())
    result: dict[str, Any] = {f"{way}_images_per_s": round(statistics.median(runs)) for way, runs in rates.items()}
    for slow in ("plain", "seed"):
        if slow in rates:
            ratios = [fast / other for fast, other in zip(rates["recorded"], rates[slow], strict=True)]
            result[f"recorded_over_{slow}"] = [round(ratio, 2) for ratio in ratios]
    return result


def hardware(device: str) -> str:
    """Name of the GPU, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", help="cifar10, or a folder of its images; made up where left out")
    parser.add_argument("--megabytes", type=int, default=150, help="of made-up images")
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--images", type=int, default=12_800, help="of an epoch of the loops")
    parser.add_argument("--repeats", type=int, default=5, help="of each loop")
    parser.add_argument("--at-a-time", nargs="*", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "gpu_throughput.json")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"hardware": hardware(arguments.device), "epochs": arguments.epochs, **provenance()}
    result["mps"] = "CUDA_MPS_PIPE_DIRECTORY" in os.environ
    arguments.out.parent.mkdir(exist_ok=True)
    if "steps" in arguments.parts:
        result["steps"] = {}
        for name in arguments.networks:
            result["steps"][name] = steps(name, arguments.device)
            print(name, json.dumps(result["steps"][name]), flush=True)
            arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    if "loops" in arguments.parts:
        data = part_of(images_of(arguments.data, arguments.megabytes), arguments.images)
        result["loops"] = {}
        for name in arguments.networks:
            result["loops"][name] = loops(name, data, arguments.device, arguments.repeats)
            print(name, json.dumps(result["loops"][name]), flush=True)
            arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    if "together" in arguments.parts:
        result["together"] = all_together(arguments)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

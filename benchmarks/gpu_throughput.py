"""Trainings per hour of one GPU with 1, 2, 4, 8 at a time; needs neither Ray nor a network connection.

    python -m benchmarks.gpu_throughput [--device cuda] [--data path/to/cifar10] [--networks ...]

Each training at a time is a process of its own on the same device, as in a search with `--gpus-per-trial 1/n`. They
start together after a warm-up, and images are counted over the time until the last one ends. Without `--data` the
images are made up, which changes accuracies, not speed. Runs on `--device cpu` too, with one thread per process.
"""

import argparse
import json
import time
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch

from benchmarks.worker_memory import made_up
from bsconv_nas.data import ImageData, load_search_data
from bsconv_nas.models import get_model
from bsconv_nas.study.settings import provenance
from bsconv_nas.train.loop import train
from bsconv_nas.train.placement import TensorData, shared_tensor
from bsconv_nas.train.precision import fastest_precision
from bsconv_nas.train.recipe import Recipe, default_recipe

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
    data = images_of(source, megabytes)
    recipe = recipe_of(data, device, epochs)
    arrays = (data.train_images, data.train_labels, data.val_images, data.val_labels)
    tensors = TensorData(*(shared_tensor(array).to(device) for array in arrays))
    few = recipe.batch_size
    warm = TensorData(*(tensor[:few] for tensor in (tensors.train_images, tensors.train_labels)), *arrays_of(tensors))
    list(train(get_model(name, 10), warm, recipe.model_copy(update={"epochs": 1}), seed))
    barrier.wait()
    begin = time.time()
    results = list(train(get_model(name, 10), tensors, recipe, seed))
    peak = torch.cuda.max_memory_allocated() / 2**20 if device.startswith("cuda") else 0.0
    return {"begin": begin, "end": time.time(), "top1": results[-1].top1, "peak_mb": peak}


def arrays_of(data: TensorData) -> tuple[torch.Tensor, torch.Tensor]:
    """A little validation data for the warm-up."""
    return data.val_images[:64], data.val_labels[:64]


def together(name: str, count: int, given: argparse.Namespace) -> dict[str, Any]:
    """`count` trainings of one network at a time."""
    spawn = get_context("spawn")
    with spawn.Manager() as manager, spawn.Pool(count) as pool:
        barrier: Any = manager.Barrier(count)
        common = (name, given.data, given.megabytes, given.device, given.epochs, barrier)
        found = pool.starmap(one_training, [(*common, seed) for seed in range(count)], chunksize=1)
    seconds = max(row["end"] for row in found) - min(row["begin"] for row in found)
    data = images_of(given.data, given.megabytes)
    recipe = recipe_of(data, given.device, given.epochs)
    per_epoch = recipe.steps_per_epoch(len(data.train_images)) * min(recipe.batch_size, len(data.train_images))
    return {
        "at_a_time": count,
        "trainings_per_hour": round(3600 * count / seconds, 1),
        "images_per_s": round(count * given.epochs * per_epoch / seconds, 1),
        "top1": [round(row["top1"], 4) for row in found],
        "peak_mb_each": round(max(row["peak_mb"] for row in found)),
    }


def hardware(device: str) -> str:
    """Name of the GPU, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", help="cifar10, or a folder of its images; made up where left out")
    parser.add_argument("--megabytes", type=int, default=150, help="of made-up images")
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--at-a-time", nargs="*", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "gpu_throughput.json")
    given = parser.parse_args()
    result: dict[str, Any] = {"hardware": hardware(given.device), "epochs": given.epochs, **provenance()}
    for name in given.networks:
        result[name] = [together(name, count, given) for count in given.at_a_time]
        print(name, json.dumps(result[name]), flush=True)
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

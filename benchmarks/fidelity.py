"""Whether a cheap training ranks networks as the full brief one does; resumable.

    python -m benchmarks.fidelity --data path/to/cifar10 --networks 60 --flops 20M
    python -m benchmarks.fidelity --data path/to/cifar10 --networks 60 --epochs 2 --studies studies/one studies/two

Random networks of the cifar space within the budget are trained by the full brief recipe (`--epochs` epochs of all
images) and by each cheap one: fewer epochs, a share of the images, smaller images. With `--studies`, the networks are
those that searches of that space trained for so many epochs, in the order given, and these trainings are the full ones.
Every training is a line of the CSV file, and a line that is there is not trained again. The report: Kendall's tau
between the final validation accuracies, recall of the top tenth (of the networks that are best by the full training,
the share among as many of the best by the cheap one), and the ratio of CPU seconds. A second seed of the full training
shows what can be reached at all.
"""

import argparse
import csv
import json
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau

from bsconv_nas.base.units import parse_amount
from bsconv_nas.data import ImageData, load_search_data
from bsconv_nas.errors import UsageError
from bsconv_nas.nn.build import build
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.genes import Genotype
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.study import Study, TrialRecord
from bsconv_nas.study.locate import load_study
from bsconv_nas.study.settings import provenance
from bsconv_nas.train.evaluator import set_input_statistics
from bsconv_nas.train.loop import train
from bsconv_nas.train.placement import TensorData, place
from bsconv_nas.train.precision import fastest_precision
from bsconv_nas.train.recipe import default_recipe

HEADER = ("network", "fidelity", "macs", "val_top1", "cpu_seconds")
Rows = Mapping[str, dict[str, str]]  # by network
FULL, SECOND = "full", "full, other seed"


@dataclass(frozen=True, slots=True)
class Fidelity:
    """A way to train briefly. `image_size` None: the data's own."""

    name: str
    epochs: int
    train_fraction: float = 1.0
    image_size: int | None = None
    seed: int = 0
    small_first: float = 0.0


def fidelities(epochs: int) -> tuple[Fidelity, ...]:
    """The full brief training, its second seed, and the cheap ones to judge."""
    return (
        Fidelity(FULL, epochs),
        Fidelity(SECOND, epochs, seed=1),
        Fidelity("half the epochs", max(1, epochs // 2)),
        Fidelity("a quarter of the epochs", max(1, epochs // 4)),
        Fidelity("a quarter of the images", epochs, 0.25),
        Fidelity("half of the epochs smaller", epochs, small_first=0.5),
        Fidelity("24 px", epochs, image_size=24),
        Fidelity("16 px", epochs, image_size=16),
        Fidelity("16 px, a quarter of the images", epochs, 0.25, 16),
    )


def sample(count: int, macs: float) -> list[Genotype]:
    """Different random networks within the budget, the same each time."""
    space, rng = _space(32, 10), random.Random(0)
    genotypes: dict[str, Genotype] = {}
    while len(genotypes) < count:
        genotype = space.random(rng)
        if space.cost(genotype)["macs"] <= macs:
            genotypes.setdefault(space.identity(genotype), genotype)
    return list(genotypes.values())


def of_studies(studies: Iterable[Study], count: int, epochs: int) -> dict[str, TrialRecord]:
    """The first networks that these studies trained, by what they are.

    Raises:
        UsageError: a training of other than so many epochs.
    """
    records: dict[str, TrialRecord] = {}
    for record in chain.from_iterable(study.records for study in studies):
        if record.top1 is None or len(records) == count:
            continue
        if record.curve[-1].epochs != epochs:
            raise UsageError(f"trial {record.number} was trained for {record.curve[-1].epochs} epochs, not {epochs}")
        records.setdefault(record.identity, record)
    return records


def row_of(record: TrialRecord) -> dict[str, Any]:
    """The training of a study as a row of the file; its seconds are those of the worker's clock."""
    assert record.top1 is not None
    numbers = {"val_top1": round(record.top1, 5), "cpu_seconds": round(record.seconds, 1)}
    return {"network": record.identity, "fidelity": FULL, "macs": int(record.cost["macs"]), **numbers}


def trained(source: str, genotype: Genotype, fidelity: Fidelity) -> dict[str, Any]:
    """One training, as a row of the file."""
    torch.set_num_threads(1)
    data = load_search_data(source, image_size=fidelity.image_size)
    side = data.image_size[0]
    space = _space(side, data.num_classes)
    shares = {"train_fraction": fidelity.train_fraction, "small_first": fidelity.small_first}
    precision = fastest_precision("cpu")
    recipe = default_recipe(len(data.train_images), side, True, fidelity.epochs, precision=precision, **shares)
    network = build(space.decode(genotype), fidelity.seed)
    set_input_statistics(network, *data.statistics())
    begin = time.process_time()
    curve = [result.top1 for result in train(network, _tensors(data), recipe, fidelity.seed)]
    return {
        "fidelity": fidelity.name,
        "macs": int(space.cost(genotype)["macs"]),
        "val_top1": round(curve[-1], 5),
        "cpu_seconds": round(time.process_time() - begin, 1),
    }


def _space(side: int, classes: int) -> ArchSpace:
    # The space has a least image size; smaller images are the same networks.
    definition = find_space("cifar").model_copy(update={"image_size": (8, 64)})
    return ArchSpace(definition, (side, side), classes)


def _tensors(data: ImageData) -> TensorData:
    return place((data.train_images, data.train_labels, data.val_images, data.val_labels), "cpu")


def agreement(full: Sequence[float], cheap: Sequence[float]) -> dict[str, float]:
    """Kendall's tau-b and the recall of the top tenth (at least one network)."""
    count = max(1, len(full) // 10)
    best, chosen = (set(np.argsort(values, kind="stable")[-count:].tolist()) for values in (full, cheap))
    tau: Any = kendalltau(full, cheap)
    return {"kendall_tau": round(float(tau.statistic), 3), "top_decile_recall": round(len(best & chosen) / count, 3)}


def report(rows: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Agreement with the full training and cost relative to it, by fidelity, over the networks that have both.

    The cost is relative to the second full training of a network where it has one: that was measured here, too.
    """
    by: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        by.setdefault(row["fidelity"], {})[row["network"]] = row
    full, second = by.get(FULL, {}), by.get(SECOND, {})
    result: dict[str, Any] = {}
    for name, cheap in by.items():
        both = [network for network in full if network in cheap]
        if name == FULL or len(both) < 2:
            continue
        accuracies = ([float(table[network]["val_top1"]) for network in both] for table in (full, cheap))
        result[name] = {"networks": len(both), **agreement(*accuracies), "cost": _cost(cheap, second or full)}
    return result


def _cost(cheap: Rows, full: Rows) -> float | None:
    both = [network for network in full if network in cheap]
    seconds = [sum(float(rows[network]["cpu_seconds"]) for network in both) for rows in (cheap, full)]
    return round(seconds[0] / seconds[1], 3) if both else None


def _run(arguments: argparse.Namespace) -> None:
    path: Path = arguments.out.with_suffix(".csv")
    done = {(row["network"], row["fidelity"]) for row in _rows(path)}
    space = _space(32, 10)
    studies = [load_study(str(folder)) for folder in arguments.studies]
    studied = of_studies(studies, arguments.networks, arguments.epochs)
    genotypes = {name: space.canonical(record.genotype) for name, record in studied.items()}
    if not arguments.studies:
        chosen = sample(arguments.networks, parse_amount(arguments.flops, "--flops"))
        genotypes = {space.identity(genotype): genotype for genotype in chosen}
    ways = [way for way in fidelities(arguments.epochs) if not arguments.only or way.name in arguments.only]
    jobs = [(name, genotype, way) for name, genotype in genotypes.items() for way in ways]
    known = done | {(name, FULL) for name in studied}
    left = [job for job in jobs if (job[0], job[2].name) not in known][: arguments.most]
    print(f"{len(done)} trainings done, {len(left)} to go", flush=True)
    with (
        path.open("a", newline="") as stream,
        ProcessPoolExecutor(arguments.workers, get_context("spawn")) as pool,
    ):
        writer: csv.DictWriter[str] = csv.DictWriter(stream, HEADER, lineterminator="\n")
        if stream.tell() == 0:
            writer.writeheader()
        writer.writerows(row_of(record) for name, record in studied.items() if (name, FULL) not in done)
        stream.flush()
        trainings = [pool.submit(trained, arguments.data, genotype, way) for _, genotype, way in left]
        for (name, _, _), training in zip(left, trainings, strict=True):
            writer.writerow({"network": name, **training.result()})
            stream.flush()


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="cifar10, or a folder of its images")
    parser.add_argument("--networks", type=int, default=60)
    parser.add_argument("--flops", default="20M")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--studies", type=Path, nargs="*", default=[], help="of the cifar space, already searched")
    parser.add_argument("--only", nargs="*", default=[], help="names of fidelities")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--most", type=int, help="trainings of this run")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "fidelity.json")
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(exist_ok=True)
    _run(arguments)
    result = {"epochs": arguments.epochs, **report(_rows(arguments.out.with_suffix(".csv"))), **provenance()}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

"""Studies of any size in no time: networks of the cifar space with made-up accuracies, written as a search stores them.

The rows go straight into the tables of Optuna's schema, because adding 10 000 trials by Optuna takes hours.
"""

import json
import random
import sqlite3
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution, distribution_to_json

from bsconv_nas.base.limits import Limits
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.study import Study
from bsconv_nas.study.settings import SearchSettings, StudyFile
from bsconv_nas.study.storage import open_storage, sqlite_url

BUDGET = 20e6
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
_EPOCHS = 5
_BEGIN = datetime(2026, 1, 1, 12)


class MadeUpStudy:
    """A study's folder that trials can be added to, one commit per call, as a search would.

    Args:
        folder: where to make it; its name is the study's.
        asked: number of trials that `study.toml` says the search was asked for.
        seed: of networks and accuracies.
        sampler: that `study.toml` names.
        latency: whether networks have one, of 3 G MACs per second.
    """

    def __init__(
        self, folder: Path, asked: int = 100, seed: int = 0, sampler: str = "known-cost", latency: bool = False
    ) -> None:
        self.folder = folder
        self.latency = latency
        self.space = ArchSpace(find_space("cifar"), (32, 32), len(CLASSES))
        self.rng = random.Random(seed)
        self.count = 0
        self.known: list[tuple[tuple[Any, ...], dict[str, float]]] = []
        limits = Limits({"macs": BUDGET})
        _study_file(folder.name, asked, sampler).write(folder)
        Study.open(open_storage(sqlite_url(folder / "study.db")), folder.name, self.space, limits, seed, {}, folder)
        self.genes = {
            gene.name: distribution_to_json(CategoricalDistribution(gene.choices)) for gene in self.space.genes
        }

    def add(self, count: int, state: str = "COMPLETE", silent: float = 0) -> list[int]:
        """Add trials of one state (COMPLETE, PRUNED, FAIL or RUNNING) in one transaction; their numbers.

        They come from workers of two hosts, which were last heard `silent` seconds ago.
        """
        numbers = list(range(self.count, self.count + count))
        with sqlite3.connect(self.folder / "study.db", timeout=60) as connection:
            for number in numbers:
                self._insert(connection, number, state, time.time() - silent)
        connection.close()
        self.count += count
        return numbers

    def finish(self, number: int, top1: float) -> None:
        """End a running trial."""
        with sqlite3.connect(self.folder / "study.db", timeout=60) as connection:
            trial_id = number + 1
            connection.execute("INSERT INTO trial_values VALUES (NULL, ?, 0, ?, 'FINITE')", (trial_id, top1))
            query = "UPDATE trials SET state = 'COMPLETE', datetime_complete = ? WHERE trial_id = ?"
            connection.execute(query, (_time(number + 1), trial_id))
        connection.close()

    def _insert(self, connection: sqlite3.Connection, number: int, state: str, heard: float) -> None:
        genotype, cost = self._network()
        if self.latency:
            cost = cost | {"latency_ms": cost["macs"] / 3e6}
        trial_id, arch = number + 1, self.space.decode(genotype)
        top1 = self._top1(cost["macs"])
        ended = None if state == "RUNNING" else _time(number + 1)
        connection.execute(
            "INSERT INTO trials VALUES (?, ?, 1, ?, ?, ?)", (trial_id, number, state, _time(number), ended)
        )
        attributes: dict[str, Any] = {"arch": arch.to_dict(), "seed": number, "cost": cost, "identity": arch.arch_id}
        attributes |= {"worker": [f"lab-{1 + number % 2} pid 41{number % 2:02}", round(heard, 1)]}
        attributes |= {"curve": _curve(top1, _EPOCHS if state == "COMPLETE" else 2)}
        if number % 3 == 0:
            attributes["avoided"] = {"over_limit": number % 5, "known": 1}
        if state == "FAIL":
            attributes["reason"] = "the loss is not finite <script>alert(1)</script>"
        rows = [(trial_id, key, json.dumps(value)) for key, value in attributes.items()]
        connection.executemany("INSERT INTO trial_user_attributes VALUES (NULL, ?, ?, ?)", rows)
        params = [
            (trial_id, gene.name, gene.index(choice), self.genes[gene.name])
            for gene, choice in zip(self.space.genes, genotype, strict=True)
        ]
        connection.executemany("INSERT INTO trial_params VALUES (NULL, ?, ?, ?, ?)", params)
        if state == "COMPLETE":
            connection.executemany(
                "INSERT INTO trial_values VALUES (NULL, ?, ?, ?, 'FINITE')",
                [(trial_id, 0, top1), (trial_id, 1, cost["macs"])],
            )

    def _network(self) -> tuple[tuple[Any, ...], dict[str, float]]:
        """A network within the budget: a neighbour of an earlier one, because random ones are rarely cheap."""
        while True:
            genotype = self.rng.choice(self.known)[0] if self.known else self.space.random(self.rng)
            for _ in range(self.rng.randint(1, 8)):
                position = self.rng.randrange(len(genotype))
                choice = self.rng.choice(self.space.genes[position].choices)
                genotype = self.space.canonical((*genotype[:position], choice, *genotype[position + 1 :]))
            cost = self.space.cost(genotype)
            if cost["macs"] <= BUDGET:
                self.known.append((genotype, cost))
                return genotype, cost

    def _top1(self, macs: float) -> float:
        return round(min(0.97, max(0.1, 0.99 - 2.6 * macs**-0.12 + self.rng.gauss(0, 0.025))), 4)


def _curve(top1: float, epochs: int) -> list[list[Any]]:
    values = [top1 * (1 - 0.6 ** (epoch + 2)) for epoch in range(epochs - 1)] + [top1]
    return [
        [i + 1, _EPOCHS, round(value, 4), {"train_loss": 2.3 - value, "seconds": 3.0}] for i, value in enumerate(values)
    ]


def _time(number: int) -> str:
    return str(_BEGIN + timedelta(seconds=15 * number, microseconds=number + 1))


def _study_file(name: str, asked: int, sampler: str) -> StudyFile:
    return StudyFile(
        schema_version=1,
        name=name,
        settings=SearchSettings(data="images", trials=asked, epochs=_EPOCHS, limits={"macs": BUDGET}),
        resolved={
            "space": "cifar",
            "data": "made-up",
            "image_size": [32, 32],
            "classes": CLASSES,
            "train_images": 45000,
            "val_images": 5000,
            "sampler": sampler,
            "training": {"epochs": _EPOCHS, "train_fraction": 0.1, "small_first": 0.5},
        },
    )

"""From a study to `final/results.json`: trainings, then the test part, then the table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bsconv_nas.data import ImageData, TestData, find_dataset
from bsconv_nas.errors import StudyError, TrainingError, UsageError
from bsconv_nas.evaluation import Job
from bsconv_nas.final.contestants import Contestant
from bsconv_nas.final.queue import FinalQueue, build_contestant
from bsconv_nas.final.records import WEIGHTS, FinalRecord, write_record
from bsconv_nas.final.results import FinalResults, summarise
from bsconv_nas.study.settings import StudyFile
from bsconv_nas.train.checkpoint import load_weights
from bsconv_nas.train.full import default_device, top1_on
from bsconv_nas.train.precision import fastest_precision
from bsconv_nas.train.recipe import FULL_RECIPES, Recipe

RECIPE = "modern"


@dataclass(frozen=True, slots=True)
class Final:
    """A final comparison: who, with what, and where."""

    contestants: Sequence[Contestant]
    seeds: Sequence[int]
    data: ImageData
    recipe: Recipe
    folder: Path

    def test(self, queue: FinalQueue, load_test: Callable[[], TestData], progress: Callable[[], None]) -> FinalResults:
        """Read the test part, test every training once, keep the weights of each network's best seed, and write.

        `progress` is called after each training that was tested.

        Raises:
            TrainingError: every training failed.
            StorageError: the folder cannot be written.
        """
        records = queue.records
        if not records:
            raise TrainingError(f"every final training failed, the first one because: {min(queue.failed.values())}")
        if any(record.test_top1 is None for record in records.values()):
            records = self._tested(records, load_test(), progress)
        results = summarise(
            self.contestants, list(records.values()), self.recipe.epochs, self.seeds, Path(self.data.name).name
        )
        results.write(self.folder)
        _keep_best(records)
        return results

    def _tested(
        self, records: dict[Path, FinalRecord], test: TestData, progress: Callable[[], None]
    ) -> dict[Path, FinalRecord]:
        tested: dict[Path, FinalRecord] = {}
        for folder, record in records.items():
            if record.test_top1 is None:
                record = record.tested(self._top1(folder, record, test), len(test.images))  # noqa: PLW2901
                write_record(folder, record)
            tested[folder] = record
            progress()
        return tested

    def _top1(self, folder: Path, record: FinalRecord, test: TestData) -> float:
        arch = next(c.arch for c in self.contestants if c.name == record.name)
        network = build_contestant(Job(0, (record.name,), record.seed, arch), self.data.num_classes)
        load_weights(folder / WEIGHTS, network)
        return top1_on(network, test.images, test.labels, default_device())


def full_recipe(data: ImageData, source: str | None, epochs: int | None) -> Recipe:
    """The recipe of final trainings on `data`, which `source` names.

    Raises:
        UsageError: epochs below 1 or above 10000.
    """
    if epochs is not None and not 1 <= epochs <= 10_000:
        raise UsageError(f"--epochs is {epochs}; allowed: 1 to 10000")
    recipe = FULL_RECIPES[RECIPE]
    changes = {
        "epochs": epochs or recipe.epochs,
        "flip": find_dataset(source).flip,
        "precision": fastest_precision(default_device()),
    }
    return recipe.model_copy(update=changes).for_data(len(data.train_images), min(data.image_size))


def check_data(file: StudyFile, data: ImageData) -> None:
    """Refuse images other than those that the study searched on.

    Raises:
        StudyError: the fingerprints differ.
    """
    expected = file.resolved.get("data_fingerprint")
    if expected != data.fingerprint:
        raise StudyError(
            f"{data.name} is not what study {file.name!r} was searched on (fingerprint {data.fingerprint}, "
            f"was {expected}); give the same images by --data"
        )


def _keep_best(records: dict[Path, FinalRecord]) -> None:
    """Delete the weights of all seeds of a network but the best by validation: choosing by test would be cheating."""
    with_weights_of_all = [folder for folder in records if (folder / WEIGHTS).is_file()]
    for name in {record.name for record in records.values()}:
        with_weights = [folder for folder in with_weights_of_all if records[folder].name == name]
        with_weights.sort(key=lambda folder: (records[folder].val_top1, -records[folder].seed))
        for folder in with_weights[:-1]:
            (folder / WEIGHTS).unlink()

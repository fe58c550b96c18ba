"""From settings to something that runs: data, space, recipe and resources are resolved and checked here."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bsconv_nas.base.limits import Limits
from bsconv_nas.base.units import format_amount, parse_duration
from bsconv_nas.data import Dataset, ImageData, find_dataset, load_search_data
from bsconv_nas.engine.early_stopping import OPTIONS, StoppingRule, find_early_stopping
from bsconv_nas.engine.options import SearchOptions
from bsconv_nas.engine.task import SearchTask
from bsconv_nas.errors import UsageError
from bsconv_nas.networks.latency_table import FILE, LATENCY
from bsconv_nas.samplers import DEFAULT_SAMPLER, check_sampler
from bsconv_nas.spaces.files import find_space, space_for_images
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.study.settings import SearchSettings, StudyFile, provenance
from bsconv_nas.study.storage import has_password
from bsconv_nas.train.evaluator import TrainingEvaluator
from bsconv_nas.train.precision import fastest_precision
from bsconv_nas.train.recipe import Recipe, default_recipe, usual_small_first


@dataclass(frozen=True, slots=True)
class Resources:
    """Workers (0: this process; None: as many as a cluster has room for) and what each reserves."""

    workers: int | None
    cpus_per_trial: float
    gpus_per_trial: float

    @property
    def device(self) -> str:
        return "cuda" if self.gpus_per_trial > 0 else "cpu"

    @property
    def threads(self) -> int:
        return max(1, round(self.cpus_per_trial))

    @property
    def at_a_time(self) -> int:
        """Trials that run at a time, as far as is known: one on a cluster that nothing is assumed of."""
        return max(1, self.workers or 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """A search on images with every choice made."""

    settings: SearchSettings
    name: str
    data: ImageData
    space: ArchSpace
    limits: Limits
    recipe: Recipe
    sampler: str
    early_stopping: StoppingRule | None
    resources: Resources
    seconds: float | None
    epoch_timeout: float | None

    @property
    def evaluator(self) -> TrainingEvaluator:
        machine = self.resources
        share = min(1.0, machine.gpus_per_trial) if machine.device == "cuda" else 1.0
        return TrainingEvaluator(self.data, self.recipe, machine.device, machine.threads, share)

    @property
    def facts(self) -> dict[str, str]:
        """What the study stands on besides space and limits: it may not change between runs."""
        height, width = self.data.image_size
        table = self.space.latency
        return {
            **({} if table is None else {"latency": str(table)}),
            "images": f"{height}x{width}, {self.data.fingerprint}",  # by content: a folder may move
            "training": self.recipe.model_copy(update={"precision": "float32"}).identity,
            "precision": self.recipe.precision,
        }

    def task(self, folder: Path, storage: str | None, options: SearchOptions) -> SearchTask:
        """The search to run; of the options, those that the settings have are overridden."""
        settings = self.settings
        chosen = replace(
            options,
            image_size=settings.image_size,
            epochs=settings.epochs,
            early_stopping=self.early_stopping,
            seconds=self.seconds,
            epoch_timeout=self.epoch_timeout,
            references=settings.references,
            top1_floor=settings.top1_floor,
            fixed=self.facts,
        )
        return SearchTask(
            space=self.space,
            evaluator=self.evaluator,
            limits=self.limits,
            sampler=self.sampler,
            trials=settings.trials,
            seed=settings.seed,
            name=self.name,
            storage=storage,
            folder=folder,
            options=chosen,
        )

    def study_file(self, storage: str | None) -> StudyFile:
        """What `study.toml` is to say; a storage whose URL has a password is not named."""
        data, space = self.data, self.space
        return StudyFile(
            schema_version=1,
            name=self.name,
            storage=None if storage is None or has_password(storage) else storage,
            settings=self.settings,
            resolved={
                "space": space.name,
                "space_fingerprint": space.fingerprint,
                "data": data.name,
                "data_fingerprint": data.fingerprint,
                "image_size": list(data.image_size),
                "classes": list(data.classes),
                "train_images": len(data.train_images),
                "val_images": len(data.val_images),
                "sampler": self.sampler,
                **({} if space.latency is None else {"latency": str(space.latency)}),
                "training": self.recipe.model_dump(),
            },
            provenance=provenance(),
        )


def load_data(
    settings: SearchSettings, download: bool = False, progress: Callable[[int, int], None] | None = None
) -> ImageData:
    """The images that settings name; `progress(done, total)` is called while they are decoded."""
    return load_search_data(
        settings.data,
        image_size=settings.image_size,
        skip_bad_images=settings.skip_bad_images,
        download=download,
        progress=progress,
    )


def make_plan(
    settings: SearchSettings, load: Callable[[SearchSettings], ImageData] = load_data, name: str | None = None
) -> Plan:
    """Resolve settings, each once. What needs no images is resolved before `load` reads them, which may take long.

    Raises:
        UsageError: a name or value that is not allowed: an unknown sampler, data set or space, an option of another
            one, a bad duration, more GPUs than exist, a study name that is no folder name.
        DataError: the images cannot be read.
    """
    sampler = settings.sampler or DEFAULT_SAMPLER
    check_sampler(sampler, settings.top1_floor is not None, settings.warm_start is not None)
    options = {name: getattr(settings, name) for name in OPTIONS}
    early_stopping = find_early_stopping(settings.early_stopping, options)
    dataset = find_dataset(settings.data)
    definition = None if settings.space is None else find_space(settings.space)
    limits = Limits(settings.limits)
    seconds = parse_duration(settings.time, "--time") if settings.time is not None else None
    epoch_timeout = _epoch_timeout(settings)
    machine = resources(settings)
    if name is not None:
        check_name(name)
    data = load(settings)
    definition = definition or find_space(space_for_images(*data.image_size))
    return Plan(
        settings=settings,
        name=name or default_name(data.name, definition.name, limits),
        data=data,
        space=ArchSpace(definition, data.image_size, data.num_classes),
        limits=limits,
        recipe=_recipe(settings, dataset, data, machine.device),
        sampler=sampler,
        early_stopping=early_stopping,
        resources=machine,
        seconds=seconds,
        epoch_timeout=epoch_timeout,
    )


def with_latency(plan: Plan, folder: Path | None, progress: Callable[[int, int], None] | None = None) -> Plan:
    """The plan with `latency_ms` among the costs of its space, if that is limited.

    The table is the one that the study in `folder` was made with; else the user's cache has one, or it is measured
    now, with `progress(done, total)`.

    Raises:
        StorageError: the cache cannot be written.
    """
    if LATENCY not in plan.limits.bounds:
        return plan
    from bsconv_nas.latency.calibrate import table_of

    table = table_of(plan.space, plan.settings.latency_threads, folder and folder / FILE, progress)
    return replace(plan, space=plan.space.with_latency(table))


def _recipe(settings: SearchSettings, dataset: Dataset, data: ImageData, device: str) -> Recipe:
    epochs = settings.epochs or dataset.epochs
    count, side = len(data.train_images), min(data.image_size)
    precision = settings.precision or fastest_precision(device)
    small = usual_small_first(side, device) if settings.small_first is None else settings.small_first
    return default_recipe(count, side, dataset.flip, epochs, settings.train_fraction, precision, small)


def _epoch_timeout(settings: SearchSettings) -> float | None:
    if settings.epoch_timeout is None:
        return None
    if settings.workers == 0:
        raise UsageError("--epoch-timeout needs workers that can be killed, but --workers is 0; ask for 1 or more")
    return parse_duration(settings.epoch_timeout, "--epoch-timeout")


def default_name(data: str, space: str, limits: Limits) -> str:
    """Name of a study made of data, space and budget: `digits-quick-300M`."""
    bounds = [
        ("" if metric == "macs" else metric) + re.sub(r"\.0+(?=\D|$)", "", format_amount(bound))
        for metric, bound in limits.bounds.items()
    ]
    return "-".join(slug(word) for word in (data.lower(), space, *bounds))


def slug(text: str) -> str:
    """The text as a part of a folder's name: letters, digits and dots, the last 40 of them."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[-40:].lstrip("-.") or "images"


def resources(settings: SearchSettings) -> Resources:
    """Workers and their shares of this machine; of a cluster (`ray_address`) nothing is assumed.

    By default a trial gets one GPU where there are any, else one core, and there are as many workers as that allows.

    Raises:
        UsageError: more GPUs or cores for a trial than this machine has.
    """
    gpus, cores = _gpu_count(), len(os.sched_getaffinity(0))
    here = settings.ray_address is None
    gpus_per_trial = settings.gpus_per_trial
    if gpus_per_trial is None:
        gpus_per_trial = 1.0 if gpus and here else 0.0
    if here and gpus_per_trial > gpus:
        raise UsageError(f"--gpus-per-trial is {gpus_per_trial:g}, but this machine has {gpus}; ask for less")
    if here and settings.cpus_per_trial > cores:
        raise UsageError(f"--cpus-per-trial is {settings.cpus_per_trial:g}, but there are {cores}; ask for less")
    workers = settings.workers
    if workers is None and here:
        by_cpu = int(cores // settings.cpus_per_trial)
        workers = max(1, min(by_cpu, int(gpus // gpus_per_trial)) if gpus_per_trial else by_cpu)
    return Resources(workers, settings.cpus_per_trial, gpus_per_trial)


def check_name(name: str) -> None:
    """Refuse the name of a study that is no plain folder name.

    Raises:
        UsageError: it is not.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UsageError(
            f"--study {name!r} is not a study name; allowed: letters, digits, '.', '_', '-', up to 100 characters"
        )


def _gpu_count() -> int:
    import torch

    return torch.cuda.device_count()

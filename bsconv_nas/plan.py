"""From settings to something that runs: data, space, recipe and resources are resolved and checked here."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bsconv_nas.base.limits import Limits
from bsconv_nas.base.toml_files import check_toml
from bsconv_nas.base.units import format_amount, parse_duration
from bsconv_nas.data import ImageData, find_dataset, load_search_data
from bsconv_nas.engine.early_stopping import OPTIONS, StoppingRule, find_early_stopping
from bsconv_nas.errors import UsageError
from bsconv_nas.networks.latency_table import FILE, LATENCY
from bsconv_nas.samplers import DEFAULT_SAMPLER, check_sampler
from bsconv_nas.spaces.files import find_space, space_for_images
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.study.settings import SearchSettings
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
    resources: Resources
    seconds: float | None
    epoch_timeout: float | None

    @property
    def evaluator(self) -> TrainingEvaluator:
        machine = self.resources
        share = min(1.0, machine.gpus_per_trial) if machine.device == "cuda" else 1.0
        return TrainingEvaluator(self.data, self.recipe, machine.device, machine.threads, share)

    @property
    def early_stopping(self) -> StoppingRule | None:
        return _early_stopping(self.settings)

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


def make_plan(settings: SearchSettings, data: ImageData, name: str | None = None) -> Plan:
    """Resolve settings for images that are already loaded.

    Raises:
        UsageError: a setting that cannot be met: unknown space, more GPUs than exist, a bad duration.
    """
    space = _space(settings.space, data)
    limits = Limits(settings.limits)
    machine = resources(settings)
    return Plan(
        settings=settings,
        name=name or default_name(data.name, space.name, limits),
        data=data,
        space=space,
        limits=limits,
        recipe=_recipe(settings, data, machine.device),
        sampler=settings.sampler or DEFAULT_SAMPLER,
        resources=machine,
        seconds=parse_duration(settings.time, "--time") if settings.time else None,
        epoch_timeout=_epoch_timeout(settings),
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


def check_settings(settings: SearchSettings) -> None:
    """Check what can be checked before images are read, which may take long.

    Raises:
        UsageError: an unknown sampler or space, an option of another one, a bad duration, more GPUs than exist.
    """
    floor, warm_start = settings.top1_floor is not None, settings.warm_start is not None
    check_sampler(settings.sampler or DEFAULT_SAMPLER, floor, warm_start)
    _early_stopping(settings)
    find_dataset(settings.data)
    if settings.space is not None:
        find_space(settings.space)
    if settings.time is not None:
        parse_duration(settings.time, "--time")
    _epoch_timeout(settings)
    resources(settings)


def image_task(
    space: str | Path | GeneSpace | None,
    evaluate: object,
    source: str | None,
    image_size: int | None,
    epochs: int | None,
    limits: Limits,
    folder: Path | None,
) -> tuple[ArchSpace, TrainingEvaluator, dict[str, str]]:
    """Space, evaluator and fixed facts of a search on images in this process or on CPU workers.

    Raises:
        UsageError: `evaluate` without a `GeneSpace`, or a `GeneSpace` without `evaluate`.
    """
    if isinstance(space, GeneSpace) or evaluate is not None:
        raise UsageError("a space of your own goes with a function `evaluate`; give both, or neither to train networks")
    given = {
        "data": source,
        "image_size": image_size,
        "epochs": epochs,
        "space": None if space is None else str(space),
        "limits": dict(limits.bounds),
    }
    settings = check_toml(given, SearchSettings, "search")
    plan = with_latency(make_plan(settings, load_data(settings)), folder)
    return plan.space, plan.evaluator, plan.facts


def _early_stopping(settings: SearchSettings) -> StoppingRule | None:
    return find_early_stopping(settings.early_stopping, {name: getattr(settings, name) for name in OPTIONS})


def _space(name: str | None, data: ImageData) -> ArchSpace:
    definition = find_space(name or space_for_images(*data.image_size))
    return ArchSpace(definition, data.image_size, data.num_classes)


def _recipe(settings: SearchSettings, data: ImageData, device: str) -> Recipe:
    dataset = find_dataset(settings.data)
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


def studies_folder(directory: Path, name: str) -> Path:
    """Folder of a study.

    Raises:
        UsageError: a name that is not a plain folder name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UsageError(
            f"--study {name!r} is not a study name; allowed: letters, digits, '.', '_', '-', up to 100 characters"
        )
    return directory / name


def _gpu_count() -> int:
    import torch

    return torch.cuda.device_count()

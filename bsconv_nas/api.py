"""Searching: `search` for users, `run_search` for who has made every choice already, as the command line has."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Never

from bsconv_nas.base.limits import Limits, parse_bound
from bsconv_nas.base.text import did_you_mean
from bsconv_nas.base.toml_files import check_toml
from bsconv_nas.engine.interrupt import interruptible
from bsconv_nas.engine.options import SearchOptions
from bsconv_nas.engine.search import Executor, Search
from bsconv_nas.engine.task import SearchTask
from bsconv_nas.errors import UsageError
from bsconv_nas.evaluation import Evaluator, FunctionEvaluator
from bsconv_nas.executors.local import LocalExecutor
from bsconv_nas.networks.latency_table import FILE
from bsconv_nas.samplers import (
    DEFAULT_SAMPLER,
    SamplerLike,
    SamplerOptions,
    check_sampler,
    make_sampler,
    sampler_name,
)
from bsconv_nas.samplers.feasible import first_genotype
from bsconv_nas.samplers.warm_start import earlier_results
from bsconv_nas.spaces.genes import GeneSpace, Genotype
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.study import Study
from bsconv_nas.study.backup import check_storage
from bsconv_nas.study.custom import check_folder, write_custom_file
from bsconv_nas.study.database_lease import storage_lease
from bsconv_nas.study.lease import Lease
from bsconv_nas.study.objective import choose_objective
from bsconv_nas.study.settings import SearchSettings
from bsconv_nas.study.storage import open_storage, sqlite_url

if TYPE_CHECKING:
    from bsconv_nas.plan import Plan

_DEFAULTS = SearchOptions()


def search(
    space: str | Path | GeneSpace | None = None,
    evaluate: Callable[[Genotype], float] | Evaluator | None = None,
    limits: Mapping[str, float | str] | None = None,
    sampler: SamplerLike = DEFAULT_SAMPLER,
    trials: int = 32,
    workers: int = 0,
    seed: int = 0,
    storage: str | None = None,
    study: str | None = None,
    *,
    data: str | None = None,
    folder: str | Path | None = None,
    objective: str | None = None,
    options: SearchOptions = _DEFAULTS,
    **unknown: Never,
) -> Study:
    """Search networks of high accuracy and low cost (usually few MACs) within limits.

    With a space of your own, `evaluate` says how good a genotype is, and no torch is needed:

        space = GeneSpace({"width": [8, 16, 32], "depth": [1, 2, 3]}, cost=lambda g: {"macs": g[0] * g[1]})
        result = search(space, evaluate=lambda g: g[0] / 64 + g[1] / 8, limits={"macs": 60}, trials=6)

    Without `evaluate`, the networks of a packaged space (or a space file) are trained briefly on `data`.

    Args:
        space: a `GeneSpace`, or the name or path of a space file; None: chosen by the image size.
        evaluate: a function from genotype to top1 in [0, 1], or an `Evaluator`; None: training on `data`.
        limits: upper bounds by cost name, as numbers or text such as "300M". `latency_ms`, without `evaluate`, is what
            a network takes on this machine's CPU at batch 1, from a table that is measured when there is none yet.
        sampler: a name of `bsconv_nas.samplers.SAMPLERS`, an Optuna sampler, or a function that makes one from a seed.
            Whatever it proposes, nothing over the limits and nothing known is trained (see `samplers.make_sampler`).
        trials: number of trials that the study is to have, those of earlier runs included.
        workers: Ray workers; 0: this process, without Ray.
        seed: of proposals and trainings, 0 or more.
        storage: URL of an Optuna storage; None: a SQLite file in `folder`, or memory without one.
        study: name of the study in its storage; searching again under the same name continues. None: that of the space.
        data: for training, that is without `evaluate`: "digits", "cifar10", "cifar100", "dogs" or a folder of images.
            None: digits.
        folder: of the study; keeps its trials (unless `storage` says otherwise), checkpoints and the weights of front
            members. In studies/NAME, the commands of `bsconv-nas` find it by its name. None: nothing is kept.
        objective: the cost to make low, by name. None: `macs`, or in a space without it the only cost.
        options: what is rarely needed: epochs, early stopping, a time limit, a warm start and more.

    Raises:
        UsageError: a value or keyword that is not allowed, a study made with other settings, or no cost
            to make low.
        BudgetError: no network of the space is within the limits.
        StorageError: results cannot be written.
    """
    _refuse(unknown)
    folder = Path(folder) if folder else None
    _check(trials, workers, options)
    check_sampler(sampler, options.top1_floor is not None, options.warm_start is not None)
    bounds = Limits({name: _bound(name, bound) for name, bound in (limits or {}).items()})
    plan = None
    if evaluate is None or not isinstance(space, GeneSpace):
        _check_images(space, evaluate)
        choices = {"space": space, "data": data, "sampler": sampler, "trials": trials, "seed": seed}
        plan = _training(choices, bounds, folder, options)
        space, evaluate = plan.space, plan.evaluator
        options = replace(options, fixed={**plan.facts, **options.fixed})
    if options.executor is None:
        options = replace(options, executor=make_executor(workers))
    evaluator = FunctionEvaluator(evaluate) if callable(evaluate) else evaluate
    name = _study_name(study, space)
    task = SearchTask(space, evaluator, bounds, sampler, trials, seed, name, storage, folder, options, objective)
    return run_search(task, partial(_write_study_file, plan, task) if plan else None)


def run_search(task: SearchTask, on_open: Callable[[], None] | None = None) -> Study:
    """Open or continue the study of a task, and search.

    `on_open` is called once the study is open and known to be the same as before.

    Raises:
        UsageError: an unknown sampler, or a study made with other settings.
        BudgetError: no network of the space is within the limits.
        StorageError: results cannot be written.
    """
    space, folder, options = task.space, task.folder, task.options
    objective = choose_objective(space.name, space.cost(first_genotype(space)), task.objective)
    with Lease(folder) if folder else nullcontext():
        earlier = earlier_results(options.warm_start, space, options.fixed) if options.warm_start else ()
        sampler_options = SamplerOptions(options.references, options.top1_floor, earlier, objective)
        proposer = make_sampler(task.sampler, space, task.limits, task.seed, sampler_options)
        database = open_storage(sqlite_url(folder / "study.db") if folder and task.storage is None else task.storage)
        check_storage(database)
        if folder:
            check_folder(folder, task.name)
        with storage_lease(database, task.name):
            study = Study.open(database, task.name, space, task.limits, task.seed, options.fixed, folder, objective)
            write_custom_file(study, space, task.trials, sampler_name(task.sampler), task.storage, options.fixed)
            if folder and isinstance(space, ArchSpace) and space.latency:
                space.latency.write(folder / FILE)
            study.set_sampler(sampler_name(task.sampler))
            if on_open:
                on_open()
            run = Search(
                study,
                space,
                proposer,
                task.trials,
                options.seconds,
                options.observer,
                options.stopping_rule,
                options.epoch_timeout,
            )
            with interruptible(run):
                (options.executor or LocalExecutor()).run(run, task.evaluator)
            study.back_up()
            if options.observer:
                options.observer.ended(run.ended_because)
    return study


def make_executor(
    workers: int | None,
    cpus_per_trial: float = 1,
    gpus_per_trial: float = 0,
    ray_address: str | None = None,
    data_bytes: int = 0,
    max_retries: int = 3,
) -> Executor:
    """The executor with so many workers; 0 runs in this process and imports no Ray, None fills a cluster."""
    if workers == 0:
        return LocalExecutor()
    from bsconv_nas.executors.ray_tune import RayExecutor

    return RayExecutor(workers, cpus_per_trial, gpus_per_trial, ray_address, max_retries, data_bytes)


def _check_images(space: object, evaluate: object) -> None:
    if isinstance(space, GeneSpace) or evaluate is not None:
        raise UsageError("a space of your own goes with a function `evaluate`; give both, or neither to train networks")


def _training(choices: Mapping[str, object], limits: Limits, folder: Path | None, options: SearchOptions) -> "Plan":
    """The plan of a search that trains networks on images; what is no text or number stays out of its settings."""
    from bsconv_nas.plan import make_plan, with_latency  # need torch

    values = {name: str(value) if isinstance(value, Path) else value for name, value in choices.items()}
    if not isinstance(values["sampler"], str):
        del values["sampler"]
    values |= {"image_size": options.image_size, "epochs": options.epochs, "limits": dict(limits.bounds)}
    return with_latency(make_plan(check_toml(values, SearchSettings, "search")), folder)


def _write_study_file(plan: "Plan", task: SearchTask) -> None:
    """Write `study.toml`, by which the commands of the terminal find the study."""
    if task.folder is not None:
        file = replace(plan, name=task.name, sampler=sampler_name(task.sampler)).study_file(task.storage)
        file.write(task.folder)


def _refuse(unknown: Mapping[str, object]) -> None:
    """Refuse keywords that `search` does not have, with what to write instead."""
    for name in unknown:
        if name == "study_name":
            raise UsageError("search has no argument 'study_name'; write search(..., study=...)")
        if name in (field.name for field in fields(SearchOptions)):
            way_out = f"search(..., options=SearchOptions({name}=...))"
            raise UsageError(f"search has no argument {name!r}, it is an option; write {way_out}")
        arguments = [argument for argument in inspect.signature(search).parameters if argument != "unknown"]
        raise UsageError(f"search has no argument {name!r}; {did_you_mean(name, arguments)}")


def _check(trials: int, workers: int, options: SearchOptions) -> None:
    if trials < 1 or workers < 0:
        raise UsageError(f"trials is {trials} and workers {workers}; allowed: at least 1 and at least 0")
    timeout = options.epoch_timeout
    if timeout is not None and (timeout <= 0 or (workers == 0 and options.executor is None)):
        raise UsageError(
            f"epoch_timeout is {timeout:g} with {workers} workers; allowed: seconds above 0, with workers to kill"
        )


def _study_name(study: object, space: GeneSpace) -> str:
    if study is None:
        return space.name
    if not isinstance(study, str) or not study:
        raise UsageError(f"study is {study!r:.80}; allowed: the name of a study, as text that is not empty")
    return study


def _bound(name: str, bound: float | str) -> float:
    return parse_bound(name, bound, name) if isinstance(bound, str) else bound

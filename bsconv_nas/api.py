"""`search`: the one entry to searching, for the command line, scripts and notebooks."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

from bsconv_nas.base.limits import Limits, parse_bound
from bsconv_nas.engine.early_stopping import StoppingRule, find_early_stopping
from bsconv_nas.engine.interrupt import interruptible
from bsconv_nas.engine.search import Executor, Observer, Search
from bsconv_nas.errors import UsageError
from bsconv_nas.evaluation import Evaluator, FunctionEvaluator
from bsconv_nas.executors.local import LocalExecutor
from bsconv_nas.networks.latency_table import FILE
from bsconv_nas.samplers import DEFAULT_SAMPLER, SamplerOptions, make_sampler
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
from bsconv_nas.study.storage import open_storage, sqlite_url


def search(
    space: str | Path | GeneSpace | None = None,
    evaluate: Callable[[Genotype], float] | Evaluator | None = None,
    limits: Mapping[str, float | str] | None = None,
    sampler: str = DEFAULT_SAMPLER,
    trials: int = 32,
    workers: int = 0,
    seed: int = 0,
    storage: str | None = None,
    study_name: str | None = None,
    *,
    data: str | None = None,
    image_size: int | None = None,
    epochs: int | None = None,
    folder: str | Path | None = None,
    seconds: float | None = None,
    executor: Executor | None = None,
    fixed: Mapping[str, str] | None = None,
    observer: Observer | None = None,
    on_open: Callable[[], None] | None = None,
    early_stopping: str | StoppingRule | None = "none",
    epoch_timeout: float | None = None,
    references: bool = True,
    top1_floor: float | None = None,
    warm_start: Study | None = None,
    objective: str | None = None,
) -> Study:
    """Search networks of high accuracy and low cost (usually few MACs) within limits.

    With a space of your own, `evaluate` says how good a genotype is, and no torch is needed:

        space = GeneSpace({"width": [8, 16, 32], "depth": [1, 2, 3]}, cost=lambda g: {"macs": g[0] * g[1]})
        study = search(space, evaluate=lambda g: g[0] / 64 + g[1] / 8, limits={"macs": 60}, trials=6)

    Without `evaluate`, the networks of a packaged space (or a space file) are trained briefly on `data`.

    Args:
        space: a `GeneSpace`, or the name or path of a space file; None: chosen by the image size.
        evaluate: a function from genotype to top1 in [0, 1], or an `Evaluator`; None: training on `data`.
        limits: upper bounds by cost name, as numbers or text such as "300M". `latency_ms`, without `evaluate`, is what
            a network takes on this machine's CPU at batch 1, from a table that is measured when there is none yet.
        sampler: a name (see `bsconv_nas.samplers`).
        trials: number of trials that the study is to have, those of earlier runs included.
        workers: Ray workers; 0: this process, without Ray.
        seed: of proposals and trainings, 0 or more.
        storage: URL of an Optuna storage; None: a SQLite file in `folder`, or memory without one.
        study_name: name in the storage; running again under the same name continues.
        data, image_size, epochs: for training, that is without `evaluate`: "digits", "cifar10", "cifar100", "dogs"
            or a folder of images; pixels; epochs of a brief training. None: as the data suggests.
        folder: of the study; keeps its trials (unless `storage` says otherwise), checkpoints and the weights of front
            members. In studies/NAME, the commands of `bsconv-nas` find it by its name. None: nothing is kept.
        seconds: time limit of this run; running trials stay resumable.
        executor: runs the jobs; None: one of `workers`, each with one core.
        fixed: facts that may not change between runs of a study, by name.
        observer: told what happens.
        on_open: called once the study is open and known to be the same as before.
        early_stopping: "none", "forecast" (a training goes on while it may end on the front), "asha" (successive
            halving among networks of no more MACs), or a `StoppingRule`.
        epoch_timeout: seconds after which a worker is killed that has not ended an epoch; its trial is tried again.
            None: 20 times the slowest epoch so far, at least 5 minutes. Without workers nothing can be killed.
        references: whether known-cost begins with the hand-made reference networks that are points of the space.
        top1_floor: accuracy below which known-cost counts nothing; None: derived from the front.
        warm_start: an earlier study on the same data and space, for known-cost to learn from. Its best networks within
            the limits are trained first.
        objective: the cost to make low, by name. None: `macs`, or in a space without it the only cost.

    Raises:
        UsageError: a value that is not allowed, a study made with other settings, or no cost to make low.
        BudgetError: no network of the space is within the limits.
        StorageError: results cannot be written.
    """
    _check(trials, workers, epoch_timeout, executor)
    rule = find_early_stopping(early_stopping) if isinstance(early_stopping, str) else early_stopping
    folder = Path(folder) if folder else None
    bounds = Limits({name: _bound(name, bound) for name, bound in (limits or {}).items()})
    if evaluate is None or not isinstance(space, GeneSpace):
        from bsconv_nas.plan import image_task

        space, evaluate, facts = image_task(space, evaluate, data, image_size, epochs, bounds, folder)
        fixed = {**facts, **(fixed or {})}
    objective = choose_objective(space.name, space.cost(first_genotype(space)), objective)
    evaluator = FunctionEvaluator(evaluate) if callable(evaluate) else evaluate
    with Lease(folder) if folder else nullcontext():
        earlier = earlier_results(warm_start, space, fixed or {}) if warm_start else ()
        options = SamplerOptions(references, top1_floor, earlier, objective)
        proposer = make_sampler(sampler, space, bounds, seed, options)
        database = open_storage(sqlite_url(folder / "study.db") if folder and storage is None else storage)
        name = study_name or space.name
        check_storage(database)
        if folder:
            check_folder(folder, name)
        with storage_lease(database, name):
            study = Study.open(database, name, space, bounds, seed, fixed or {}, folder, objective)
            write_custom_file(study, space, trials, sampler, storage, fixed or {})
            if folder and isinstance(space, ArchSpace) and space.latency:
                space.latency.write(folder / FILE)
            if on_open:
                on_open()
            run = Search(study, space, proposer, trials, seconds, observer, rule, epoch_timeout)
            with interruptible(run):
                (executor or make_executor(workers)).run(run, evaluator)
            study.back_up()
            if observer:
                observer.ended(run.ended_because)
    return study


def _check(trials: int, workers: int, epoch_timeout: float | None, executor: Executor | None) -> None:
    if trials < 1 or workers < 0:
        raise UsageError(f"trials is {trials} and workers {workers}; allowed: at least 1 and at least 0")
    if epoch_timeout is not None and (epoch_timeout <= 0 or (workers == 0 and executor is None)):
        raise UsageError(
            f"epoch_timeout is {epoch_timeout:g} with {workers} workers; allowed: seconds above 0, with workers to kill"
        )


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


def _bound(name: str, bound: float | str) -> float:
    return parse_bound(name, bound, name) if isinstance(bound, str) else bound

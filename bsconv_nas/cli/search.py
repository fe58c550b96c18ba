"""`bsconv-nas search`."""

import shlex
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from bsconv_nas.base.limits import parse_bound
from bsconv_nas.base.units import parse_amount
from bsconv_nas.cli.console import DirOption, JsonOption, StorageOption, print_json
from bsconv_nas.cli.search_options import (
    ConfigOption,
    CpusPerTrialOption,
    DataOption,
    DownloadOption,
    EarlyStoppingOption,
    EpochsOption,
    EpochTimeoutOption,
    FlopsOption,
    GpusPerTrialOption,
    GracePeriodOption,
    ImageSizeOption,
    LatencyThreadsOption,
    LimitOption,
    MaxRetriesOption,
    NameOption,
    NoReferenceOption,
    ParamsOption,
    PrecisionOption,
    RayAddressOption,
    ReductionFactorOption,
    SamplerOption,
    SeedOption,
    SkipBadImagesOption,
    SmallFirstOption,
    SpaceOption,
    TimeOption,
    Top1FloorOption,
    TrainFractionOption,
    TrialsOption,
    WarmStartOption,
    WorkersOption,
)
from bsconv_nas.errors import UsageError
from bsconv_nas.study.locate import DEFAULT_DIR


def search(
    context: typer.Context,
    flops: FlopsOption = None,
    params: ParamsOption = None,
    limit: LimitOption = None,
    trials: TrialsOption = None,
    time: TimeOption = None,
    epochs: EpochsOption = None,
    train_fraction: TrainFractionOption = None,
    small_first: SmallFirstOption = None,
    data: DataOption = None,
    image_size: ImageSizeOption = None,
    space: SpaceOption = None,
    download: DownloadOption = False,
    skip_bad_images: SkipBadImagesOption = False,
    study: NameOption = None,
    directory: DirOption = DEFAULT_DIR,
    storage: StorageOption = None,
    config: ConfigOption = None,
    sampler: SamplerOption = None,
    early_stopping: EarlyStoppingOption = None,
    grace_period: GracePeriodOption = None,
    reduction_factor: ReductionFactorOption = None,
    top1_floor: Top1FloorOption = None,
    no_reference: NoReferenceOption = False,
    warm_start: WarmStartOption = None,
    seed: SeedOption = None,
    precision: PrecisionOption = None,
    workers: WorkersOption = None,
    cpus_per_trial: CpusPerTrialOption = None,
    gpus_per_trial: GpusPerTrialOption = None,
    latency_threads: LatencyThreadsOption = None,
    ray_address: RayAddressOption = None,
    epoch_timeout: EpochTimeoutOption = None,
    max_retries: MaxRetriesOption = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Print only the result.")] = False,
) -> None:
    """Search networks for a budget; run it again to continue.

    With no options the search runs on scikit-learn's handwritten digits.
    """
    from bsconv_nas.cli.running import run_search

    given = {
        **context.params,
        "limits": _limits(flops, params, limit or []),
        "references": False if no_reference else None,
        "skip_bad_images": skip_bad_images or None,
    }
    settings = settings_of(given, config)
    view = run_search(settings, study, directory, storage, download, show=not quiet and not as_json)
    if as_json:
        print_json(view.as_json())
    else:
        view.print_result(_again(sys.argv[1:]))
    if view.interrupted:
        raise typer.Exit(130)


def settings_of(options: Mapping[str, Any], config: str | None = None) -> Any:
    """The `SearchSettings` of a recipe, overridden by the options that were given and are fields of it.

    Raises:
        UsageError: an unknown recipe, or a value that is not allowed.
    """
    from bsconv_nas.base.toml_files import check_toml
    from bsconv_nas.study.settings import SearchSettings, find_recipe

    base = find_recipe(config).model_dump(exclude_none=True) if config else {}
    fields = SearchSettings.model_fields
    given = {name: value for name, value in options.items() if name in fields and value is not None and value != {}}
    return check_toml({**base, **given}, SearchSettings, "options")


def _limits(flops: str | None, params: str | None, others: list[str]) -> dict[str, float]:
    limits: dict[str, float] = {}
    if flops is not None:
        limits["macs"] = parse_amount(flops, "--flops")
    if params is not None:
        limits["params"] = parse_amount(params, "--params")
    for text in others:
        name, separator, amount = text.partition("=")
        if not separator:
            raise UsageError(f"--limit {text!r} is not COST=AMOUNT; write for example --limit peak_activation=256k")
        limits[name] = parse_bound(name, amount, f"--limit {name}")
    return limits


def _again(arguments: list[str]) -> str:
    """The command line as typed, without `--trials`, which the next one may set anew."""
    kept: list[str] = []
    following = iter(arguments)
    for argument in following:
        if argument == "--trials":
            next(following, None)
        elif not argument.startswith("--trials="):
            kept.append(argument)
    return "bsconv-nas " + shlex.join(kept)

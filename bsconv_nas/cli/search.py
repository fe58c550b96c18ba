"""`bsconv-nas search`."""

import sys
from typing import Annotated

import typer

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
from bsconv_nas.cli.search_settings import sets_search, settings_of
from bsconv_nas.study.locate import DEFAULT_DIR


@sets_search("study", "directory", "storage", "download", "as_json", "quiet")
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
    from bsconv_nas.cli.after_search import command_to_continue, outcome_json, print_outcome
    from bsconv_nas.cli.run_search import run_search

    settings = settings_of(context.params)
    outcome = run_search(settings, study, directory, storage, download, show=not quiet and not as_json)
    if as_json:
        print_json(outcome_json(outcome))
    else:
        print_outcome(outcome, command_to_continue(sys.argv[1:]))
    if outcome.interrupted:
        raise typer.Exit(130)

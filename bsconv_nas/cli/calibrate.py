"""`bsconv-nas calibrate`."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from bsconv_nas.base.units import counted, format_amount, format_duration
from bsconv_nas.cli.console import JsonOption, out, print_json
from bsconv_nas.cli.search_options import (
    CpusPerTrialOption,
    DataOption,
    EpochsOption,
    FlopsOption,
    GpusPerTrialOption,
    ImageSizeOption,
    PrecisionOption,
    SmallFirstOption,
    SpaceOption,
    TrainFractionOption,
    TrialsOption,
    WorkersOption,
)
from bsconv_nas.cli.search_settings import sets_search, settings_of


@sets_search("seconds", "as_json")
def calibrate(
    context: typer.Context,
    flops: FlopsOption = None,
    trials: TrialsOption = None,
    epochs: EpochsOption = None,
    train_fraction: TrainFractionOption = None,
    small_first: SmallFirstOption = None,
    data: DataOption = None,
    image_size: ImageSizeOption = None,
    space: SpaceOption = None,
    precision: PrecisionOption = None,
    workers: WorkersOption = None,
    cpus_per_trial: CpusPerTrialOption = None,
    gpus_per_trial: GpusPerTrialOption = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time to measure each of the two networks.")] = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Measure a small and a large network of the space, and say what a search will take.

    One worker is measured, with nothing beside it: several on one machine slow each other a little.
    """
    from bsconv_nas.cost_estimate import estimate_trials, measure_speed, total_seconds
    from bsconv_nas.plan import make_plan

    settings = settings_of(context.params)
    plan = make_plan(settings)
    small, large, middle_macs = measure_speed(plan, seconds)
    estimate = estimate_trials(plan, small, large, middle_macs)
    at_a_time = plan.resources.at_a_time
    total = total_seconds(estimate.middle, settings.trials, at_a_time)
    rows = [
        {"network": name, "macs": int(macs), "images_per_s": rate, "trial_seconds": round(trial, 2)}
        for name, macs, rate, trial in (
            ("small", small.macs, round(1 / small.seconds_per_image, 1), estimate.small),
            ("middling", middle_macs, None, estimate.middle),
            ("large", large.macs, round(1 / large.seconds_per_image, 1), estimate.large),
        )
    ]
    if as_json:
        print_json({"trials": settings.trials, "workers": at_a_time, "seconds": round(total, 1), "networks": rows})
        return
    out.print(_table(rows))
    out.print(
        f"{counted(settings.trials, 'trial')} of {counted(plan.recipe.epochs, 'epoch')}, {at_a_time} at a time: about "
        f"{format_duration(total)} (precision {plan.recipe.precision}).",
        highlight=False,
    )


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for header in ("network", "MACs", "images/s", "one trial"):
        table.add_column(header, justify="left" if header == "network" else "right")
    for row in rows:
        rate = f"{row['images_per_s']:.0f}" if row["images_per_s"] else ""
        table.add_row(row["network"], format_amount(row["macs"]), rate, format_duration(row["trial_seconds"]))
    return table

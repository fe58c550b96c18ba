"""`bsconv-nas search`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bsconv_nas.cli.console import DirOption, JsonOption, StorageOption, print_json
from bsconv_nas.errors import UsageError
from bsconv_nas.limits import parse_bound
from bsconv_nas.units import parse_amount

_BUDGET = "Budget"
_DATA = "Data and space"
_MACHINE = "Machine"
_STUDY = "Study"


def search(
    flops: Annotated[
        str | None,
        typer.Option(
            "--flops",
            "--macs",
            metavar="AMOUNT",
            help="Most multiply-accumulates (FLOPs of the mobile literature) of a network, such as 300M.",
            rich_help_panel=_BUDGET,
        ),
    ] = None,
    params: Annotated[
        str | None,
        typer.Option(metavar="AMOUNT", help="Most parameters, such as 1M.", rich_help_panel=_BUDGET),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COST=AMOUNT",
            help="Another upper bound, such as peak_activation=256k (bytes) or latency_ms=5 (on this machine's CPU, "
            "measured before the first search). May be given several times.",
            rich_help_panel=_BUDGET,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            help="Networks to train, earlier runs of the study included. (default: 32)", rich_help_panel=_BUDGET
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Stop after this time, such as 1h30m.", rich_help_panel=_BUDGET),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Epochs of each brief training. (default: 20 for digits, else 8)", rich_help_panel=_BUDGET),
    ] = None,
    train_fraction: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Share of the training images in each epoch, drawn anew. (default: 1)",
            rich_help_panel=_BUDGET,
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="float32 or bfloat16, of products and activations. (default: the faster on this machine)",
            rich_help_panel=_MACHINE,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FOLDER",
            help="digits, cifar10, cifar100, dogs, or a folder of images: train/ and test/ with a folder per class, "
            "or just a folder per class. (default: digits)",
            rich_help_panel=_DATA,
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(help="Side of the images in pixels. (default: as the data suggests)", rich_help_panel=_DATA),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Search space: see `bsconv-nas spaces`. (default: by image size)",
            rich_help_panel=_DATA,
        ),
    ] = None,
    download: Annotated[
        bool,
        typer.Option(
            "--download", metavar="", help="Fetch cifar10, cifar100 or dogs if missing.", rich_help_panel=_DATA
        ),
    ] = False,
    skip_bad_images: Annotated[
        bool, typer.Option("--skip-bad-images", metavar="", help="Leave out unreadable images.", rich_help_panel=_DATA)
    ] = False,
    study: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of the study; an existing one is continued. (default: from data, space and budget)",
            rich_help_panel=_STUDY,
        ),
    ] = None,
    directory: DirOption = Path("studies"),
    storage: StorageOption = None,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Take settings from a recipe or a study.toml; other options override it.",
            rich_help_panel=_STUDY,
        ),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="known-cost, tpe, nsga2, nsga3, random or gp. (default: known-cost)",
            rich_help_panel=_STUDY,
        ),
    ] = None,
    early_stopping: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="forecast: stop trainings that will hardly end on the front; asha: that lag behind networks of no "
            "more MACs; none. (default: none)",
            rich_help_panel=_STUDY,
        ),
    ] = None,
    grace_period: Annotated[
        int | None,
        typer.Option(
            metavar="EPOCHS",
            help="Epochs before the first decision to stop. (default: of a training, an eighth for asha, a quarter for "
            "forecast)",
            rich_help_panel=_STUDY,
        ),
    ] = None,
    reduction_factor: Annotated[
        float | None,
        typer.Option(metavar="N", help="One in N goes on at each rung of asha. (default: 2)", rich_help_panel=_STUDY),
    ] = None,
    top1_floor: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Accuracy below which known-cost counts nothing, such as 0.6. (default: from the front)",
            rich_help_panel=_STUDY,
        ),
    ] = None,
    no_reference: Annotated[
        bool,
        typer.Option(
            "--no-reference",
            metavar="",
            help="Do not begin with the hand-made networks of the space.",
            rich_help_panel=_STUDY,
        ),
    ] = False,
    warm_start: Annotated[
        str | None,
        typer.Option(
            metavar="STUDY",
            help="Learn from an earlier study (name or folder) of the same data and space; its budget may differ.",
            rich_help_panel=_STUDY,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of proposals and trainings. (default: 0)", rich_help_panel=_STUDY)
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Networks trained at a time; 0: in this process, without Ray. (default: as the machine allows)",
            rich_help_panel=_MACHINE,
        ),
    ] = None,
    cpus_per_trial: Annotated[
        float | None, typer.Option(help="CPU cores of each. (default: 1)", rich_help_panel=_MACHINE)
    ] = None,
    gpus_per_trial: Annotated[
        float | None,
        typer.Option(
            help="GPUs of each, fractions allowed. (default: 1 where there are any)", rich_help_panel=_MACHINE
        ),
    ] = None,
    latency_threads: Annotated[
        int | None,
        typer.Option(help="CPU threads that latency_ms refers to. (default: 1)", rich_help_panel=_MACHINE),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Use a running Ray cluster, such as auto.", rich_help_panel=_MACHINE),
    ] = None,
    epoch_timeout: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Kill a worker whose epoch takes longer; the network is tried again. "
            "(default: 20 times the slowest epoch so far, at least 5m)",
            rich_help_panel=_MACHINE,
        ),
    ] = None,
    max_retries: Annotated[
        int | None,
        typer.Option(
            help="How often a network whose worker died is taken up again. (default: 3)", rich_help_panel=_MACHINE
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Print only the result.")] = False,
) -> None:
    """Search networks for a budget; run it again to continue.

    With no options the search runs on scikit-learn's handwritten digits.
    """
    given = {
        "data": data,
        "image_size": image_size,
        "space": space,
        "limits": _limits(flops, params, limit or []),
        "trials": trials,
        "time": time,
        "epochs": epochs,
        "train_fraction": train_fraction,
        "precision": precision,
        "workers": workers,
        "cpus_per_trial": cpus_per_trial,
        "gpus_per_trial": gpus_per_trial,
        "sampler": sampler,
        "early_stopping": early_stopping,
        "grace_period": grace_period,
        "reduction_factor": reduction_factor,
        "top1_floor": top1_floor,
        "references": False if no_reference else None,
        "warm_start": warm_start,
        "seed": seed,
        "latency_threads": latency_threads,
        "ray_address": ray_address,
        "skip_bad_images": skip_bad_images or None,
        "epoch_timeout": epoch_timeout,
        "max_retries": max_retries,
    }
    from bsconv_nas.cli.running import run_search

    settings = _settings(config, given)
    view = run_search(settings, study, directory, storage, download, show=not quiet and not as_json)
    if as_json:
        print_json(view.as_json())
    else:
        view.print_result(_again(sys.argv[1:]))
    if view.interrupted:
        raise typer.Exit(130)


def _settings(config: str | None, given: dict[str, Any]) -> Any:
    from bsconv_nas.study.settings import SearchSettings, find_recipe
    from bsconv_nas.toml_files import check_toml

    base = find_recipe(config).model_dump(exclude_none=True) if config else {}
    options = {key: value for key, value in given.items() if value is not None and value != {}}
    return check_toml({**base, **options}, SearchSettings, "options")


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

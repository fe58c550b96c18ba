"""The options of `search`, which other commands share: their names, types and help.

An option named as a field of `SearchSettings` sets that field; see there for the defaults.
"""

from functools import partial
from typing import Annotated

import typer

from bsconv_nas.engine.early_stopping import rules_help, rules_that_take
from bsconv_nas.samplers import DEFAULT_SAMPLER, SAMPLERS

_budget = partial(typer.Option, rich_help_panel="Budget")
_data = partial(typer.Option, rich_help_panel="Data and space")
_machine = partial(typer.Option, rich_help_panel="Machine")
_study = partial(typer.Option, rich_help_panel="Study")

FlopsOption = Annotated[
    str | None,
    _budget(
        "--flops",
        "--macs",
        metavar="AMOUNT",
        help="Most multiply-accumulates (FLOPs of the mobile literature) of a network, such as 300M.",
    ),
]
ParamsOption = Annotated[str | None, _budget(metavar="AMOUNT", help="Most parameters, such as 1M.")]
LimitOption = Annotated[
    list[str] | None,
    _budget(
        metavar="COST=AMOUNT",
        help="Another upper bound, such as peak_activation=256k (bytes) or latency_ms=5 (on this machine's CPU, "
        "measured before the first search). May be given several times.",
    ),
]
TrialsOption = Annotated[
    int | None, _budget(help="Networks to train, earlier runs of the study included. (default: 32)")
]
TimeOption = Annotated[str | None, _budget(metavar="DURATION", help="Stop after this time, such as 1h30m.")]
EpochsOption = Annotated[int | None, _budget(help="Epochs of each brief training. (default: 20 for digits, else 8)")]
TrainFractionOption = Annotated[
    float | None,
    _budget(metavar="SHARE", help="Share of the training images in each epoch, drawn anew. (default: 1)"),
]
SmallFirstOption = Annotated[
    float | None,
    _budget(
        metavar="SHARE",
        help="Share of the epochs, from the first on, with images shrunk to 3/4 of their side, which saves time. "
        "(default: 0.5 on CPUs for images of 32 to 64 pixels, else 0)",
    ),
]

DataOption = Annotated[
    str | None,
    _data(
        metavar="NAME|FOLDER",
        help="digits, cifar10, cifar100, dogs, or a folder of images: train/ and test/ with a folder per class, "
        "or just a folder per class. (default: digits)",
    ),
]
ImageSizeOption = Annotated[int | None, _data(help="Side of the images in pixels. (default: as the data suggests)")]
SpaceOption = Annotated[
    str | None,
    _data(metavar="NAME|FILE", help="Search space: see `bsconv-nas spaces`. (default: by image size)"),
]
DownloadOption = Annotated[bool, _data("--download", metavar="", help="Fetch cifar10, cifar100 or dogs if missing.")]
SkipBadImagesOption = Annotated[bool, _data("--skip-bad-images", metavar="", help="Leave out unreadable images.")]

PrecisionOption = Annotated[
    str | None,
    _machine(
        metavar="NAME",
        help="float32 or bfloat16: the number format in training. (default: the faster on this machine)",
    ),
]
WorkersOption = Annotated[
    int | None,
    _machine(help="Networks trained at a time; 0: in this process, without Ray. (default: as the machine allows)"),
]
CpusPerTrialOption = Annotated[float | None, _machine(help="CPU cores of each training. (default: 1)")]
GpusPerTrialOption = Annotated[
    float | None, _machine(help="GPUs of each training, fractions allowed. (default: 1 where there are any)")
]
LatencyThreadsOption = Annotated[int | None, _machine(help="CPU threads that latency_ms refers to. (default: 1)")]
RayAddressOption = Annotated[str | None, _machine(metavar="ADDRESS", help="Use a running Ray cluster, such as auto.")]
EpochTimeoutOption = Annotated[
    str | None,
    _machine(
        metavar="DURATION",
        help="Kill a worker whose epoch takes longer; the network is tried again. "
        "(default: 20 times the slowest epoch so far, at least 5m)",
    ),
]
MaxRetriesOption = Annotated[
    int | None, _machine(help="How often a network is tried again after its worker died. (default: 3)")
]

NameOption = Annotated[
    str | None,
    _study(
        "--study",
        metavar="NAME",
        help="Name of the study; an existing one is continued. (default: from data, space and budget)",
    ),
]
ConfigOption = Annotated[
    str | None,
    _study(metavar="NAME|FILE", help="Take settings from a recipe or a study.toml; other options override it."),
]
SamplerOption = Annotated[
    str | None,
    _study(metavar="NAME", help=f"{', '.join(SAMPLERS)}. (default: {DEFAULT_SAMPLER})"),
]
EarlyStoppingOption = Annotated[
    str | None,
    _study(
        metavar="NAME",
        help=f"What ends trainings early. {rules_help()}. (default: none)",
    ),
]
GracePeriodOption = Annotated[
    int | None,
    _study(
        metavar="EPOCHS",
        help=f"Epochs before the first decision to stop, for {', '.join(rules_that_take('grace_period'))}. (default: "
        "of a training, an eighth for asha, a quarter for forecast)",
    ),
]
ReductionFactorOption = Annotated[
    float | None,
    _study(
        metavar="N",
        help=f"One in N goes on at each decision, for {', '.join(rules_that_take('reduction_factor'))}. (default: 2)",
    ),
]
Top1FloorOption = Annotated[
    float | None,
    _study(
        metavar="SHARE",
        help="Networks less accurate than this are worth nothing to known-cost, such as 0.6. (default: set by the "
        "search from its front)",
    ),
]
NoReferenceOption = Annotated[
    bool,
    _study("--no-reference", metavar="", help="Do not begin with the hand-made networks that the space contains."),
]
WarmStartOption = Annotated[
    str | None,
    _study(
        metavar="STUDY",
        help="Learn from an earlier study (name or folder) of the same data and space; its budget may differ.",
    ),
]
SeedOption = Annotated[int | None, _study(help="Seed of the proposals and of the trainings. (default: 0)")]

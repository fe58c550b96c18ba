"""Settings of a search, and `study.toml`, which keeps them with the facts they were resolved to."""

import platform
import shlex
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import Field

from bsconv_nas.base.files import write_atomic
from bsconv_nas.base.packaged import packaged_folder
from bsconv_nas.base.text import did_you_mean
from bsconv_nas.base.toml_files import TomlModel, read_toml
from bsconv_nas.errors import UsageError

CUSTOM = "custom"  # the space of settings that stand for a space of one's own, which no file describes
_PACKAGES = ("bsconv-nas", "torch", "torchvision", "optuna", "ray", "numpy", "scikit-learn")


class SearchSettings(TomlModel):
    """What a user may set for `search`; None or absent means the default, chosen when the search starts.

    `limits` are upper bounds by cost name; `latency_ms` is measured at batch 1 with `latency_threads`. `time` and
    `epoch_timeout` are durations such as "1h30m". `warm_start` names a study on disk.
    """

    data: str | None = None
    image_size: int | None = None
    space: str | None = None
    limits: dict[str, Annotated[float, Field(gt=0, strict=False)]] = Field(default_factory=dict)
    trials: Annotated[int, Field(ge=1, le=1_000_000)] = 32
    time: str | None = None
    epochs: Annotated[int, Field(ge=1, le=10_000)] | None = None
    train_fraction: Annotated[float, Field(gt=0, le=1, strict=False)] = 1.0
    small_first: Annotated[float, Field(ge=0, lt=1, strict=False)] | None = None
    precision: Literal["float32", "bfloat16"] | None = None
    workers: Annotated[int, Field(ge=0, le=4096)] | None = None
    cpus_per_trial: Annotated[float, Field(gt=0, strict=False)] = 1
    gpus_per_trial: Annotated[float, Field(ge=0, strict=False)] | None = None
    sampler: str | None = None
    references: bool = True
    top1_floor: Annotated[float, Field(ge=0, lt=1, strict=False)] | None = None
    warm_start: str | None = None
    early_stopping: Literal["none", "forecast", "asha"] = "none"
    grace_period: Annotated[int, Field(ge=1)] | None = None
    reduction_factor: Annotated[float, Field(gt=1, strict=False)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    latency_threads: Annotated[int, Field(ge=1, le=4096)] = 1
    ray_address: str | None = None
    skip_bad_images: bool = False
    epoch_timeout: str | None = None
    max_retries: Annotated[int, Field(ge=0, le=1000)] = 3


class StudyFile(TomlModel):
    """`study.toml`: the settings, what they were resolved to, and where it ran.

    A file with nothing but `[settings]` is a recipe for `search --config`. In a study of a space of one's own (see
    `custom.py`), `resolved` has the genes with their choices.
    """

    schema_version: Literal[1]
    title: str = ""
    name: str | None = None
    storage: str | None = None
    settings: SearchSettings
    resolved: dict[str, Any] = Field(default_factory=dict)
    provenance: dict[str, Any] = Field(default_factory=dict)

    @property
    def is_custom(self) -> bool:
        """Whether this is a study of a space of one's own, which has genes and no networks."""
        return "genes" in self.resolved

    def how_to_run(self, folder: Path) -> str:
        """What runs or continues the search of this file in that folder: a command, or a line of Python."""
        if self.is_custom:
            return f"bsconv_nas.search(space, evaluate, folder={str(folder)!r}, study_name={self.name!r})"
        return shlex.join(["bsconv-nas", "search", "--config", str(folder), "--study", folder.name])

    def write(self, folder: Path) -> None:
        """Write `study.toml` into a folder.

        Raises:
            StorageError: the folder cannot be written.
        """
        data = self.model_dump(mode="json", exclude_none=True)
        write_atomic(folder / "study.toml", tomli_w.dumps(data))


def read_study_file(folder: Path) -> StudyFile:
    """Read the `study.toml` of a study's folder.

    Raises:
        UsageError: it is missing or damaged.
    """
    return read_toml(folder / "study.toml", StudyFile)


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.parent.name for path in packaged_folder("studies").glob("*/study.toml"))


def find_recipe(name_or_path: str) -> SearchSettings:
    """Settings by the name of a packaged recipe, a TOML file, or a folder with a `study.toml`.

    Raises:
        UsageError: there is none, or it is not valid.
    """
    path = Path(name_or_path)
    if path.is_dir():
        path = path / "study.toml"
    if path.is_file() or path.suffix == ".toml":
        return _searchable(path)
    if name_or_path not in recipe_names():
        hint = did_you_mean(name_or_path, recipe_names())
        raise UsageError(f"unknown recipe {name_or_path!r}; {hint}, or give the path of a .toml file")
    return read_toml(packaged_folder("studies") / name_or_path / "study.toml", StudyFile).settings


def _searchable(path: Path) -> SearchSettings:
    file = read_toml(path, StudyFile)
    if file.is_custom:
        raise UsageError(
            f"{path} is of a space of one's own, which the command line cannot search; run its Python program again: "
            f"{file.how_to_run(path.parent)}"
        )
    return file.settings


def provenance() -> dict[str, Any]:
    """Versions and hardware that results depend on."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "versions": {name: installed for name in _PACKAGES if (installed := _version(name)) is not None},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """Name of this machine's CPU."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

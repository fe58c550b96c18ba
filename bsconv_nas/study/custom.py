"""Studies of a space of one's own: what their `study.toml` holds, and what they do not have, which is networks.

The command line writes `study.toml` for a search on images. For `bsconv_nas.search(space, evaluate, folder=...)` it is
written here, so that every command that shows studies finds this one too.
"""

from collections.abc import Mapping
from pathlib import Path

from bsconv_nas.base.toml_files import check_toml
from bsconv_nas.errors import StudyError, UsageError
from bsconv_nas.spaces.genes import Gene, GeneSpace
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.study.settings import CUSTOM, SearchSettings, StudyFile, provenance, read_study_file
from bsconv_nas.study.storage import has_password
from bsconv_nas.study.study import Study

_MOST_CHOICES = 1000  # of one gene: a file of more than 1 MB would not be read again


def check_folder(folder: Path, name: str) -> None:
    """Refuse to search in the folder of another study: it would lose its `study.toml` and its weights.

    Raises:
        StudyError: `study.toml` in the folder names another study.
    """
    other = _study_in(folder)
    if other not in (None, name):
        raise StudyError(
            f"folder {folder} holds study {other!r}, not {name!r}; choose another folder, or study_name={other!r} to "
            "continue that one"
        )


def write_custom_file(
    study: Study, space: GeneSpace, trials: int, sampler: object, storage: str | None, fixed: Mapping[str, str]
) -> None:
    """Write `study.toml` for a study of a space of one's own, in one step: a reader sees the old file or the new one.

    Nothing is written for a study without a folder or for one of networks. `sampler` is a name or an object; `storage`
    is the URL of the database if it is not in the folder; `fixed` are the facts that the study stands on.

    Raises:
        UsageError: more trials than 1000000, or a seed below 0.
        StorageError: the folder cannot be written.
    """
    if study.folder is None or isinstance(space, ArchSpace):
        return
    name = sampler if isinstance(sampler, str) else getattr(sampler, "__name__", type(sampler).__name__)
    options = {
        "space": CUSTOM,
        "limits": dict(study.limits.bounds),
        "trials": trials,
        "seed": study.seed,
        "sampler": name,
    }
    StudyFile(
        schema_version=1,
        title=f"A space of one's own with {len(space.genes)} genes",
        name=study.name,
        storage=None if storage is None or has_password(storage) else storage,
        settings=check_toml(options, SearchSettings, "search"),
        resolved={
            "space": space.name,
            "space_fingerprint": space.fingerprint,
            "genes": {gene.name: _choices(gene) for gene in space.genes},
            "objective": study.objective,
            "sampler": name,
            "facts": dict(fixed),
        },
        provenance=provenance(),
    ).write(study.folder)


def check_networks(study: Study) -> None:
    """Refuse a study of a space of one's own where networks are needed.

    Raises:
        StudyError: its trials have no networks.
    """
    if any(record.arch is None for record in study.all_records):
        raise StudyError(
            f"study {study.name!r} has no networks: it searches a space of one's own, where a trial is a choice for "
            f"each gene; `bsconv-nas front {study.folder}` shows them"
        )


def _study_in(folder: Path) -> str | None:
    """Name of the study that a folder holds; None where `study.toml` is missing, damaged, or of a search to come."""
    try:
        return read_study_file(folder).name
    except UsageError:
        return None


def _choices(gene: Gene) -> list[object]:
    choices = list[object](gene.choices)
    if len(choices) <= _MOST_CHOICES:
        return choices
    return [f"{len(choices)} choices from {choices[0]} to {choices[-1]}"]

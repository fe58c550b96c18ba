"""The random search that a study is compared with: of the same space, images, limits, training and objective."""

from contextlib import suppress
from pathlib import Path

from bsconv_nas.errors import UsageError
from bsconv_nas.study.locate import study_folders
from bsconv_nas.study.objective import stored_objective
from bsconv_nas.study.settings import StudyFile, read_study_file

_SAME = ("space_fingerprint", "data_fingerprint", "image_size", "training", "facts")


def is_random_arm(other: StudyFile, study: StudyFile) -> bool:
    """Whether `other` is a random search under the conditions of a study that is none itself."""
    return _is_random(other) and not _is_random(study) and _conditions(other) == _conditions(study)


def random_arm(folder: Path) -> Path | None:
    """Folder of a study's random arm among the studies in the same directory, the latest; None where there is none.

    Raises:
        UsageError: `study.toml` of the study itself is missing or damaged.
    """
    study = read_study_file(folder)
    for other in study_folders(folder.parent):
        with suppress(UsageError):  # a study that cannot be read is no arm
            if is_random_arm(read_study_file(other), study):
                return other
    return None


def _is_random(file: StudyFile) -> bool:
    return file.resolved.get("sampler") == "random"


def _conditions(file: StudyFile) -> list[object]:
    return [file.settings.limits, stored_objective(file.resolved), *(file.resolved.get(name) for name in _SAME)]

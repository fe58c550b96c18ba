"""The random search that a study is compared with: of the same space, images, limits and training."""

from collections.abc import Iterable
from contextlib import suppress

from bsconv_nas.dashboard.source import StudySource
from bsconv_nas.errors import BsconvNasError
from bsconv_nas.study.locate import study_folders

_SAME = ("space_fingerprint", "data_fingerprint", "image_size", "training")


def random_arm(source: StudySource, others: Iterable[StudySource]) -> StudySource | None:
    """The first of `others` that is a random search under the same conditions; None for a study that is one itself."""
    if _is_random(source):
        return None
    return next((other for other in others if _is_random(other) and _conditions(other) == _conditions(source)), None)


def arm_beside(source: StudySource) -> StudySource | None:
    """The random arm among the studies in the same directory, read; None where there is none."""
    others: list[StudySource] = []
    for folder in study_folders(source.folder.parent):
        with suppress(BsconvNasError):  # a study that cannot be read is no arm
            others.append(StudySource(folder))
    arm = random_arm(source, others)
    if arm is not None:
        arm.refresh()
    return arm


def _is_random(source: StudySource) -> bool:
    return source.file.resolved.get("sampler") == "random"


def _conditions(source: StudySource) -> list[object]:
    return [source.file.settings.limits, *(source.file.resolved.get(name) for name in _SAME)]

"""Which files make up the rows of a part, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass

from bsconv_nas.data.listing import ImageFile, labels_of
from bsconv_nas.data.rows import Plan
from bsconv_nas.data.split import validation_mask
from bsconv_nas.errors import DataError


@dataclass(frozen=True, slots=True)
class HoldOut:
    """Training images first, then those held out of them; each in the order in which they come."""

    classes: tuple[str, ...]

    def __call__(self, files: list[ImageFile]) -> Plan:
        held_out = validation_mask([file.path for file in files], labels_of(files), self.classes)
        train, val = divided(files, held_out.tolist())
        return Plan(train + val, len(train))


def whole_test_part(files: list[ImageFile]) -> Plan:
    """All images, in the order in which they come."""
    if not files:
        raise DataError(
            "the test part has 0 readable images; at least 1 is needed; add images, to a folder as test/<class>/*.jpg"
        )
    return Plan(files, 0)


def divided(files: Sequence[ImageFile], second: Sequence[bool]) -> tuple[list[ImageFile], list[ImageFile]]:
    """Files where `second` is False, and files where it is True."""
    pairs = list(zip(files, second, strict=True))
    return [file for file, is_second in pairs if not is_second], [file for file, is_second in pairs if is_second]

"""The studies that a page can choose from."""

import threading
import time
from contextlib import suppress
from pathlib import Path

from bsconv_nas.dashboard.source import StudySource
from bsconv_nas.errors import BsconvNasError, StudyError
from bsconv_nas.study.arms import is_random_arm
from bsconv_nas.study.locate import find_folder, study_folders

_RESCAN = 2.0  # seconds between looks for new studies


class Hub:
    """Sources by key (a study's folder name, numbered where two are equal).

    Args:
        names: of studies; none for all of the directory, also those that come later.
        directory: of studies.
        storage: database URL for all of them, needed when it has a password.

    Raises:
        StudyError: a named study does not exist.
    """

    def __init__(self, names: list[str], directory: Path, storage: str | None = None) -> None:
        self.directory = directory
        self.storage = storage
        self._folders = [find_folder(name, directory) for name in names]
        self._sources: dict[str, StudySource] = {}
        self._lock = threading.Lock()
        self._scanned = float("-inf")

    def list_keys(self) -> list[str]:
        """Keys of the studies, the latest first."""
        with self._lock:
            if time.monotonic() - self._scanned > _RESCAN:
                self._scan()
            return list(self._sources)

    def list_studies(self) -> list[tuple[str, str, str | None]]:
        """Key, name, and key of the random arm of the studies, the latest first."""
        self.list_keys()
        sources = self._sources
        return [(key, source.name, _random_arm(source, sources)) for key, source in sources.items()]

    def source(self, key: str) -> StudySource:
        """The source of a key.

        Raises:
            StudyError: there is none.
        """
        if key not in self._sources and key not in self.list_keys():
            raise StudyError(f"there is no study {key!r} here any more")
        return self._sources[key]

    def _scan(self) -> None:
        self._scanned = time.monotonic()
        known = {source.folder: source for source in self._sources.values()}
        sources: dict[str, StudySource] = {}
        for folder in self._folders or study_folders(self.directory):
            source = known.get(folder)
            with suppress(BsconvNasError):  # a recipe, or a study whose first trial is still to come
                source = source or StudySource(folder, self.storage)
            if source is not None:
                sources[_free_key(folder.name, sources)] = source
        self._sources = sources


def _random_arm(source: StudySource, sources: dict[str, StudySource]) -> str | None:
    return next((key for key, other in sources.items() if is_random_arm(other.file, source.file)), None)


def _free_key(name: str, taken: dict[str, StudySource]) -> str:
    key, count = name, 1
    while key in taken:
        count += 1
        key = f"{name}~{count}"
    return key

"""One study as the page sees it: its rows, what is fixed about it, and how it stands."""

import json
import os
import shlex
import threading
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from bsconv_nas.dashboard.published import published_curves
from bsconv_nas.errors import StudyError
from bsconv_nas.networks.metrics import descriptions
from bsconv_nas.spaces.references import reference_names
from bsconv_nas.study.importance import MOST_TRIALS, importances_apart
from bsconv_nas.study.lease import searched_since
from bsconv_nas.study.locate import find_folder
from bsconv_nas.study.opening import LAST_SAMPLER
from bsconv_nas.study.rows import StudyTable
from bsconv_nas.study.settings import StudyFile, read_study_file
from bsconv_nas.study.storage import has_password, sqlite_url

_LONGEST_WAIT = 2.0  # seconds without a look at the database while its file seems unchanged


class StudySource:
    """A study that is watched.

    Args:
        folder: of the study, with its `study.toml`.
        storage: URL of its database, needed when it has a password.

    Raises:
        UsageError: `study.toml` is missing or damaged.
        StudyError: the study was never run.
    """

    def __init__(self, folder: Path, storage: str | None = None) -> None:
        self.folder = folder
        self.file: StudyFile = read_study_file(folder)
        self.name = self.file.name or folder.name
        self.storage = storage or self.file.storage
        if self.storage is None and not (folder / "study.db").is_file():
            raise StudyError(f"study {folder} has no trials yet; run `{self.file.how_to_run(folder)}`")
        self.table = StudyTable(self.storage or sqlite_url(folder / "study.db"), self.name)
        self.version = f"{os.getpid()}.{time.time_ns()}"
        self._lock = threading.Lock()
        self._seen: tuple[Any, ...] = ()
        self._looked = 0.0
        self._final: tuple[Any, dict[str, Any] | None] = (None, None)

    def refresh(self) -> None:
        """Look at the database if its files changed, or if the last look is some time ago.

        Raises:
            StudyError: the study is gone.
            StorageError: the database cannot be read.
        """
        with self._lock:
            signature = tuple(_signature(self.folder / name) for name in ("study.db", "study.db-wal"))
            now = time.monotonic()
            if signature == self._seen and now - self._looked < _LONGEST_WAIT:
                return
            self.table.refresh()
            # Taken before the look: a commit during it is seen at the latest at the next one.
            self._seen, self._looked = signature, now

    @property
    def epoch(self) -> str:
        """Changes when rows that a page holds are no longer those of this study."""
        return f"{self.version}.{self.table.generation}"

    def update(self, epoch: str, revision: int) -> dict[str, Any]:
        """What changed after a revision; everything for a page of another epoch."""
        with self._lock:
            fresh = epoch != self.epoch
            return {
                "epoch": self.epoch,
                "revision": self.table.revision,
                "fresh": fresh,
                "rows": self.table.since(0 if fresh else revision),
            }

    def standing(self) -> dict[str, Any]:
        """How the study stands: running (since when), finished, interrupted or empty, and what continues it."""
        settings = self._settings()
        done = sum(row.state != "running" for row in self.table.rows.values())
        since = searched_since(self.folder)
        state = "finished" if done >= settings.trials else "interrupted"
        running = {} if since is None else {"state": "running", "since": since}
        return {"state": state, "asked": settings.trials, "resume": self.resume_command, **running}

    def _settings(self) -> Any:
        with suppress(Exception):
            self.file = read_study_file(self.folder)  # a later run may have asked for more trials
        return self.file.settings

    @property
    def resume_command(self) -> str:
        """The command that goes on with the search; in a study of a space of one's own, the call in Python."""
        if self.file.is_custom:
            return self.file.how_to_run(self.folder)
        words = ["bsconv-nas", "search", "--config", str(self.folder), "--study", self.folder.name]
        words += ["--dir", str(self.folder.parent)]
        if self.storage is not None:
            hidden = make_url(self.storage).render_as_string(hide_password=True)
            words += ["--storage", hidden if has_password(self.storage) else self.storage]
        return shlex.join(words)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What does not change while the study is watched."""
        resolved, settings = self.file.resolved, self.file.settings
        size, classes = resolved.get("image_size"), resolved.get("classes", [])
        return {
            "name": self.name,
            "folder": str(self.folder),
            "title": self.file.title,
            "limits": self.table.attributes.get("limits", {}),
            "objective": self.table.objective,
            "genes": resolved.get("genes"),
            "seed": self.table.attributes.get("seed"),
            "data": Path(str(resolved.get("data", settings.data or ""))).name,
            "data_path": settings.data,
            "image_size": size,
            "classes": len(classes),
            "sampler": resolved.get("sampler") or self.table.attributes.get(LAST_SAMPLER) or settings.sampler,
            "space": resolved.get("space"),
            "training": resolved.get("training", {}),
            "train_images": resolved.get("train_images"),
            "val_images": resolved.get("val_images"),
            "references": reference_names((size[0], size[1]), len(classes)) if size and classes else {},
            "published": published_curves(classes, size),
        }

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The costs of the study, in the order of columns: how each is called and written (see `descriptions`)."""
        return descriptions((self.table.objective, *self.table.costs), self.table.objective)

    def final(self) -> dict[str, Any] | None:
        """Results of the full trainings (`final/results.json`), read anew when the file changed; None without."""
        signature = _signature(self.folder / "final" / "results.json")
        if signature != self._final[0]:
            self._final = signature, read_final(self.folder)
        return self._final[1]


def snapshot(source: StudySource) -> dict[str, Any]:
    """All rows of a study with its facts: what a page starts from."""
    return {
        **source.update("", 0),
        "facts": source.facts,
        "metrics": source.metrics,
        "standing": source.standing(),
        "final": source.final(),
        "now": time.time(),
    }


def importance_of(source: StudySource) -> dict[str, float]:
    """Importances of the genes for accuracy, from the complete trials."""
    complete = {row.number: row.top1 for row in source.table.rows.values() if row.top1 is not None}
    latest = sorted(complete)[-MOST_TRIALS:]
    genotypes = source.table.genotypes(latest)
    return importances_apart([genotypes[n] for n in latest], [complete[n] for n in latest])


def read_final(folder: Path) -> dict[str, Any] | None:
    """The results of a study's full trainings; None when the file is absent or of another schema."""
    try:
        data = json.loads((folder / "final" / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(data, dict) and data.get("schema_version") == 1 and isinstance(data.get("rows"), list)
    return data if known else None


def open_source(name_or_path: str | None, directory: Path, storage: str | None = None) -> StudySource:
    """The source of a study by name or path; of the latest for None.

    Raises:
        StudyError: there is no such study.
    """
    return StudySource(find_folder(name_or_path, directory), storage)


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size

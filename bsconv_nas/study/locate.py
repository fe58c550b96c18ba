"""Finding studies on disk: by name, by path, or the latest one."""

from contextlib import suppress
from pathlib import Path

from bsconv_nas.base.text import did_you_mean
from bsconv_nas.errors import StudyError, UsageError
from bsconv_nas.study.settings import read_study_file
from bsconv_nas.study.storage import open_storage, sqlite_url
from bsconv_nas.study.study import Study

DEFAULT_DIR = Path("studies")


def study_folders(directory: Path) -> list[Path]:
    """Folders of the studies in a directory that have trials, the latest first."""
    folders = [path.parent for path in directory.glob("*/study.toml") if last_change(path.parent) is not None]
    return sorted(folders, key=lambda folder: last_change(folder) or 0.0, reverse=True)


def last_change(folder: Path) -> float | None:
    """Time of the last change to a study's trials (seconds since 1970); None for a recipe that was never run."""
    with suppress(UsageError):  # a damaged file shows up in lists, and stands in nobody's way
        if read_study_file(folder).name is None:
            return None
    times: list[float] = []
    for file in (*folder.glob("study.db*"), folder / "study.toml"):
        with suppress(FileNotFoundError):  # the write-ahead log goes when its last reader does
            times.append(file.stat().st_mtime)
    return max(times, default=None)


def find_folder(name_or_path: str | None, directory: Path = DEFAULT_DIR) -> Path:
    """Folder of a study by path or name; of the latest one for None.

    Raises:
        StudyError: there is no such study.
    """
    if name_or_path is None:
        latest = study_folders(directory)
        if not latest:
            raise StudyError(f"no study in {directory}/; start one with `bsconv-nas search`, or give --dir")
        return latest[0]
    for folder in (Path(name_or_path), directory / name_or_path):
        if (folder / "study.toml").is_file():
            return folder
    known = [folder.name for folder in study_folders(directory)]
    hint = did_you_mean(name_or_path, known) if known else f"there is none in {directory}/; give --dir"
    raise StudyError(f"no study {name_or_path!r}; {hint}")


def load_study(name_or_path: str | None, directory: Path = DEFAULT_DIR, storage: str | None = None) -> Study:
    """Open a study on disk for reading.

    `storage` is only needed for a database whose URL has a password: passwords are not kept in `study.toml`.

    Raises:
        StudyError: there is no such study.
    """
    folder = find_folder(name_or_path, directory)
    file = read_study_file(folder)
    url = storage or file.storage
    if url is None and not (folder / "study.db").is_file():
        raise StudyError(f"study {folder} has no trials yet; run `{file.how_to_run(folder)}`")
    return Study.load(open_storage(url or sqlite_url(folder / "study.db")), file.name or folder.name, folder)

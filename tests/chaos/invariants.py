"""What must hold of a study whatever happened to its drivers and workers."""

import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
from optuna.storages import RDBStorage

from bsconv_nas.study import Study
from bsconv_nas.study.storage import open_storage, sqlite_url
from tests.chaos.driver import EPOCHS, weights_of
from tests.searches import LIMITS, table_cost, table_top1


def stored(folder: Path) -> list[optuna.trial.FrozenTrial]:
    """Trials as Optuna itself reads them; none before there is a study."""
    file = folder / "study.db"
    if not file.exists():
        return []
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    try:
        return optuna.load_study(study_name="table", storage=RDBStorage(sqlite_url(file))).get_trials(deepcopy=False)
    except KeyError:  # killed before the study was made
        return []


def check_middle(folder: Path, complete: set[int]) -> set[int]:
    """Check a study whose driver has just been killed; the trials that are complete, which must stay so."""
    trials = stored(folder)
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert all("identity" in trial.user_attrs for trial in trials), "proposals are whole or not there"
    now = {trial.number for trial in trials if trial.state.name == "COMPLETE"}
    assert complete <= now
    return now


def check_end(folder: Path, trials: int) -> None:
    """Check a study that is said to be done."""
    found = stored(folder)
    assert [trial.number for trial in found] == list(range(trials))
    assert {trial.state.name for trial in found} == {"COMPLETE"}, [t.user_attrs.get("reason") for t in found]
    study = Study.load(open_storage(sqlite_url(folder / "study.db")), "table", folder)
    records = study.records
    assert len({record.identity for record in records}) == trials, "no network twice"
    for record in records:
        assert record.cost == table_cost(record.genotype)
        assert record.cost["macs"] <= LIMITS["macs"]
        assert record.top1 == table_top1(record.genotype) * EPOCHS / EPOCHS  # as `Epochs` computes it
        assert [result.epoch for result in record.curve] == list(range(1, EPOCHS + 1))
    _check_files(folder, study)


def _check_files(folder: Path, study: Study) -> None:
    points = [(record.cost["macs"], record.top1 or 0.0, place) for place, record in enumerate(study.records)]
    best = [point for point in points if not any(_beats(other, point) for other in points)]
    assert {record.number for record in study.front()} == {study.records[place].number for _, _, place in best}
    assert not list((folder / "checkpoints").iterdir())
    weights = {path.name: path.read_text() for path in (folder / "weights").iterdir()}
    assert weights == {f"trial-{r.number:05d}.safetensors": weights_of(study.job(r)) for r in study.front()}


def _beats(one: tuple[float, float, int], other: tuple[float, float, int]) -> bool:
    """Whether the first dominates the second, or is as good and was complete before."""
    return one[0] <= other[0] and one[1] >= other[1] and (one[:2] != other[:2] or one[2] < other[2])

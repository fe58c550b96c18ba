"""The database that is read and written by own queries is the one that Optuna reads and writes."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial

from bsconv_nas.errors import StudyError
from bsconv_nas.evaluation import EpochResult
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.study.database import Change, Database
from bsconv_nas.study.driver_storage import DriverStorage
from bsconv_nas.study.storage import open_storage, sqlite_url
from tests.searches import new_study, sampler_for


def plain(trials: list[FrozenTrial]) -> list[dict[str, Any]]:
    return [{key: value for key, value in vars(trial).items() if key != "_trial_id"} for trial in trials]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite_url(tmp_path / "study.db")


@pytest.fixture
def filled(space: GeneSpace, url: str) -> DriverStorage:
    """A study with a trial of each state."""
    study = new_study(space, storage=open_storage(url))
    records = [study.start(space, sampler_for(space)) for _ in range(4)]
    study.set_curve(0, [EpochResult(1, 2, 0.25, {"seconds": 1.5}), EpochResult(2, 2, 0.5)])
    study.complete(records[0], 0.5)
    study.fail(1, "lost\nwith a traceback")
    study.stop(records[2])
    storage = study.optuna_study._storage
    assert isinstance(storage, DriverStorage)
    return storage


def read(storage: BaseStorage) -> list[FrozenTrial]:
    return optuna.load_study(study_name="s", storage=storage).get_trials(deepcopy=False)


def test_optuna_reads_what_the_driver_holds_in_memory(filled: DriverStorage, url: str) -> None:
    assert plain(read(RDBStorage(url))) == plain(filled.get_all_trials(1, deepcopy=False))


def test_reading_gives_what_optuna_reads(filled: DriverStorage, url: str) -> None:
    assert plain(read(open_storage(url))) == plain(read(RDBStorage(url)))


def test_trials_that_optuna_wrote_are_read_alike(url: str) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0.001, 1, log=True) + trial.suggest_int("i", 0, 8, step=2)
        if trial.suggest_categorical("c", [None, "a", 2.5, True]) == "a":
            trial.suggest_float("only some have this", 0, 1)
        trial.report(float("nan"), 1)
        trial.report(float("inf"), 3)
        trial.set_user_attr("nested", {"list": [1, None, "é"]})
        if trial.number == 3:
            raise optuna.TrialPruned
        return float("inf") if trial.number == 2 else x

    study = optuna.create_study(study_name="s", storage=url, sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=12)
    study.enqueue_trial({"x": 0.5})
    assert repr(plain(read(open_storage(url)))) == repr(plain(read(RDBStorage(url))))  # repr: NaN is not NaN


def test_a_reader_sees_new_trials_and_new_states(space: GeneSpace, url: str) -> None:
    study = new_study(space, storage=open_storage(url))
    watching = optuna.load_study(study_name="s", storage=open_storage(url))
    assert watching.get_trials() == []
    record = study.start(space, sampler_for(space))
    assert [trial.state.name for trial in watching.get_trials()] == ["RUNNING"]
    study.start(space, sampler_for(space))
    study.complete(record, 0.5)
    assert [trial.state.name for trial in watching.get_trials()] == ["COMPLETE", "RUNNING"]
    assert len(watching.get_trials(states=[optuna.trial.TrialState.COMPLETE])) == 1


def test_a_change_stored_twice_is_stored_once(filled: DriverStorage, url: str) -> None:
    database = open_storage(url)
    assert isinstance(database, Database)
    trials = filled.get_all_trials(1, deepcopy=False)
    new = Change(trials[3], new=True, user_keys=set(trials[3].user_attrs), system_keys=set(trials[3].system_attrs))
    ended = Change(trials[0], user_keys={"curve"}, ended=True)
    before = plain(read(RDBStorage(url)))
    assert database.write(1, [new, ended]) == {3: 4, 0: 1}
    assert plain(read(RDBStorage(url))) == before


def test_a_trial_of_another_program_under_the_same_number_is_noticed(
    space: GeneSpace, filled: DriverStorage, url: str
) -> None:
    optuna.load_study(study_name="s", storage=RDBStorage(url)).ask()
    study = new_study(space, storage=open_storage(None))
    study.start(space, sampler_for(space))
    with pytest.raises(StudyError, match="another program has added trial 4"):
        filled.create_new_trial(1, study.optuna_study.trials[0])
    assert filled.count == 4


def test_missing_trials_are_noticed(filled: DriverStorage, space: GeneSpace, url: str) -> None:
    database = open_storage(url)
    assert isinstance(database, Database)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM trials WHERE number = 1")
    with pytest.raises(StudyError, match="trials are missing"):
        new_study(space, storage=open_storage(url))


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_batch_that_raises_changes_nothing(space: GeneSpace, url: str, in_memory: bool) -> None:
    study = new_study(space, storage=open_storage(None if in_memory else url))
    study.start(space, sampler_for(space))
    storage = study.optuna_study._storage
    assert isinstance(storage, DriverStorage)
    before = plain(storage.get_all_trials(1))

    def change_and_fail() -> None:
        with storage.batch():
            storage.set_trial_user_attr(storage.trial_id(0), "reason", "no")
            storage.set_trial_state_values(storage.trial_id(0), optuna.trial.TrialState.FAIL)
            storage.create_new_trial(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        change_and_fail()
    assert plain(storage.get_all_trials(1)) == before
    assert (storage.count, storage.unfinished) == (1, [0])
    assert new_study(space, storage=open_storage(None if in_memory else url)).count == (0 if in_memory else 1)

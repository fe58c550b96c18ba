"""The study: what is stored, what is refused, which files stay."""

from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy.event
from optuna.trial import TrialState as OptunaState

from bsconv_nas.base.limits import Limits
from bsconv_nas.errors import StorageError, StudyError
from bsconv_nas.evaluation import EpochResult
from bsconv_nas.spaces.genes import GeneSpace, Genotype
from bsconv_nas.study import Study, TrialRecord, TrialState
from bsconv_nas.study.storage import open_storage, sqlite_url
from tests.searches import LIMITS, new_study, sampler_for, table_cost, table_space


class Fixed(optuna.samplers.BaseSampler):
    """Proposes given genotypes, from trial number `first` on."""

    def __init__(self, space: GeneSpace, *genotypes: Genotype, first: int = 0) -> None:
        self.space = space
        self.first = first
        self.genotypes = list(genotypes)

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return {g.name: optuna.distributions.CategoricalDistribution(g.choices) for g in self.space.genes}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return self.space.to_params(self.genotypes[min(trial.number - self.first, len(self.genotypes) - 1)])

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        raise AssertionError("all genes are relative")


def run(study: Study, space: GeneSpace, *trials: tuple[Genotype, float | None]) -> list[TrialRecord]:
    """Complete a trial of each genotype with its accuracy; None fails it."""
    sampler = Fixed(space, *(genotype for genotype, _ in trials), first=study.count)
    records = []
    for _, top1 in trials:
        record = study.start(space, sampler)
        job = study.job(record)
        if job.weights is not None and job.checkpoint is not None and top1 is not None:
            for path in (job.weights, job.checkpoint):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("")
        study.complete(record, top1) if top1 is not None else study.fail(record.number, "lost")
        records.append(record)
    return records


SMALL, MIDDLE, LARGE = (8, 1, "S", False), (16, 1, "S", False), (32, 1, "S", False)


def test_a_record_holds_all_of_a_trial(space: GeneSpace) -> None:
    study = new_study(space)
    record = study.start(space, sampler_for(space))
    assert (record.number, record.state, record.top1, record.curve) == (0, TrialState.RUNNING, None, ())
    assert record.cost == table_cost(record.genotype)
    assert record.identity == space.identity(record.genotype)
    results = [EpochResult(1, 2, 0.25, {"seconds": 1.5}), EpochResult(2, 2, 0.5, {"seconds": 2.0})]
    study.set_curve(0, results)
    study.complete(record, 0.5)
    (done,) = study.records
    assert (done.state, done.top1, done.curve, done.seconds) == (TrialState.COMPLETE, 0.5, tuple(results), 3.5)
    assert done.started is not None
    assert done.completed is not None
    assert done.completed >= done.started


def test_front_and_best(space: GeneSpace) -> None:
    study = new_study(space)
    assert study.best() is None
    assert study.front() == []
    run(study, space, (MIDDLE, 0.5), (SMALL, 0.5), (LARGE, 0.4), ((*LARGE[:3], True), 0.7), (SMALL, None))
    assert [record.number for record in study.front()] == [1, 3]
    best = study.best()
    assert best is not None
    assert best.number == 3


def test_networks_over_the_limits_are_not_on_the_front(space: GeneSpace) -> None:
    study = new_study(space)
    run(study, space, ((48, 3, "U", True), 0.99), (SMALL, 0.1))
    assert [record.number for record in study.front()] == [1]


def test_records_are_in_order_of_completion(space: GeneSpace) -> None:
    study = new_study(space)
    first, second = (study.start(space, sampler_for(space)) for _ in range(2))
    study.complete(second, 0.5)
    study.complete(first, 0.5)
    assert [record.number for record in study.records] == [1, 0]
    assert [record.number for record in study.all_records] == [0, 1]


def test_dataframe_has_a_row_for_each_finished_trial(space: GeneSpace) -> None:
    study = new_study(space)
    assert study.to_dataframe().empty
    run(study, space, (SMALL, 0.5), (LARGE, None))
    study.start(space, sampler_for(space))
    frame = study.to_dataframe().set_index("trial")
    assert list(frame.index) == [0, 1]
    assert frame.loc[0, ["state", "top1", "macs", "width", "kind"]].tolist() == ["complete", 0.5, 160.0, 8, "S"]
    assert frame.loc[1, ["state", "reason"]].tolist() == ["failed", "lost"]


def test_optunas_own_tools_read_the_study(space: GeneSpace, tmp_path: Path) -> None:
    storage = open_storage(sqlite_url(tmp_path / "s.db"))
    run(new_study(space, storage=storage), space, (SMALL, 0.5), (LARGE, 0.6), (MIDDLE, 0.4), ((48, 3, "U", True), 0.9))
    study = optuna.load_study(study_name="s", storage=sqlite_url(tmp_path / "s.db"))
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["val_top1", "macs"]
    assert {trial.number for trial in study.best_trials} == {0, 1}  # the one over the limit is left out
    assert study.trials[0].values == [0.5, 160.0]
    assert study.trials[3].constraints is not None
    assert study.trials[3].constraints["macs"] == table_cost((48, 3, "U", True))["macs"] - LIMITS["macs"]
    assert len(study.trials_dataframe()) == 4


# Opening again


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "other seed (0; now 1)"),
        ({"limits": Limits({"macs": 2e6})}, "other limits (macs 4000; now macs 2000000)"),
        ({"limits": Limits()}, "other limits (macs 4000; now macs none)"),
        ({"fixed": {"images": "b", "training": "{}"}}, "other images (a; now b)"),
        ({"fixed": {"images": "a", "training": '{"epochs": 2, "x": 1}'}}, "other training (epochs none, x none; now"),
    ],
)
def test_changed_settings_are_refused_with_the_way_out(space: GeneSpace, changes: Any, message: str) -> None:
    storage = open_storage(None)
    new_study(space, storage=storage, fixed={"images": "a", "training": "{}"})
    with pytest.raises(StudyError) as caught:
        new_study(space, storage=storage, **{"fixed": {"images": "a", "training": "{}"}, **changes})
    assert message in str(caught.value)
    assert "or another name by --study" in str(caught.value)


def test_another_precision_is_refused_with_one_line(space: GeneSpace) -> None:
    storage = open_storage(None)
    new_study(space, storage=storage, fixed={"precision": "bfloat16"})
    with pytest.raises(StudyError) as caught:
        new_study(space, storage=storage, fixed={"precision": "float32"})
    assert str(caught.value) == (
        "study 's' was made with other precision (bfloat16; now float32); "
        "give the same precision again, or another name by --study"
    )


def test_a_study_from_before_there_was_a_choice_continues_in_float32_only(space: GeneSpace) -> None:
    storage = open_storage(None)
    run(new_study(space, storage=storage), space, (SMALL, 0.5))
    with pytest.raises(StudyError, match=r"other precision \(float32; now bfloat16\)"):
        new_study(space, storage=storage, fixed={"precision": "bfloat16"})
    assert len(new_study(space, storage=storage, fixed={"precision": "float32"}).records) == 1


def test_another_space_is_refused(space: GeneSpace) -> None:
    storage = open_storage(None)
    new_study(space, storage=storage)
    with pytest.raises(StudyError, match="study 's' was made with other space"):
        new_study(GeneSpace({"width": [8, 16]}, table_cost), storage=storage)


def test_the_same_settings_continue(space: GeneSpace) -> None:
    storage = open_storage(None)
    run(new_study(space, storage=storage), space, (SMALL, 0.5))
    assert len(new_study(table_space(), storage=storage).records) == 1


@pytest.mark.parametrize("kept", range(6))
def test_a_study_whose_creation_was_cut_short_is_completed(
    space: GeneSpace, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    storage, real, calls = open_storage(None), optuna.Study.set_user_attr, [0]

    def dying(study: optuna.Study, key: str, value: Any) -> None:
        calls[0] += 1
        if calls[0] > kept:
            raise KeyboardInterrupt
        real(study, key, value)

    monkeypatch.setattr(optuna.Study, "set_user_attr", dying)
    with pytest.raises(KeyboardInterrupt):
        new_study(space, storage=storage, fixed={"images": "a"})
    monkeypatch.undo()
    with pytest.raises(StudyError, match="run its search again"):
        Study.load(storage, "s")
    study = new_study(space, storage=storage, fixed={"images": "a"})
    assert study.limits == Limits(LIMITS)
    assert study.optuna_study.metric_names == ["val_top1", "macs"]
    assert Study.load(storage, "s").seed == 0


@pytest.mark.parametrize("directions", [["maximize"], ["maximize", "minimize"], ["minimize", "minimize"]])
def test_a_study_of_another_program_is_left_alone(space: GeneSpace, directions: list[Any]) -> None:
    storage = open_storage(None)
    other = optuna.create_study(storage=storage, study_name="s", directions=directions)
    other.add_trial(optuna.trial.create_trial(values=[0.5] * len(directions)))
    with pytest.raises(StudyError, match="not made by bsconv-nas"):
        new_study(space, storage=storage)
    assert other.user_attrs == {}


def test_a_study_of_a_later_version_is_refused(space: GeneSpace) -> None:
    storage = open_storage(None)
    new_study(space, storage=storage).optuna_study.set_user_attr("schema_version", 2)
    with pytest.raises(StudyError, match="schema"):
        Study.load(storage, "s")


# Proposals that were cut short


@pytest.mark.parametrize("at", ["trials", "trial_params", "trial_user_attributes"])
def test_a_driver_that_dies_while_it_stores_a_proposal_leaves_none(space: GeneSpace, tmp_path: Path, at: str) -> None:
    study = new_study(space, storage=open_storage(sqlite_url(tmp_path / "s.db")))
    run(study, space, (SMALL, 0.5))

    def dying(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith(f"INSERT INTO {at} "):
            raise KeyboardInterrupt

    engine = study.optuna_study._storage._backend.engine  # type: ignore[attr-defined]
    sqlalchemy.event.listen(engine, "after_cursor_execute", dying)
    with pytest.raises(KeyboardInterrupt):
        study.start(space, Fixed(space, (48, 3, "S", True)))
    sqlalchemy.event.remove(engine, "after_cursor_execute", dying)
    assert study.count == 1

    again = new_study(space, storage=open_storage(sqlite_url(tmp_path / "s.db")))
    assert (again.count, again.unfinished()) == (1, [])
    record = again.start(space, Fixed(space, (48, 3, "S", True)))
    again.complete(record, 0.5)
    assert [(r.number, r.genotype) for r in again.records] == [(0, SMALL), (1, (48, 3, "S", True))]


def test_a_proposal_is_one_transaction_and_so_is_each_result(space: GeneSpace, tmp_path: Path) -> None:
    study = new_study(space, storage=open_storage(sqlite_url(tmp_path / "s.db")))
    commits: list[str] = []
    engine = study.optuna_study._storage._backend.engine  # type: ignore[attr-defined]
    sqlalchemy.event.listen(engine, "commit", lambda connection: commits.append("commit"))
    record = study.start(space, sampler_for(space))
    assert len(commits) == 1
    study.set_curve(record.number, [EpochResult(1, 1, 0.5)])
    assert len(commits) == 2
    study.complete(record, 0.5)
    assert len(commits) == 3
    study.fail(study.start(space, sampler_for(space)).number, "reason and state together")
    assert len(commits) == 5


def test_a_trial_of_which_the_genes_are_missing_fails(space: GeneSpace) -> None:
    storage = open_storage(None)
    new_study(space, storage=storage)
    optuna.load_study(study_name="s", storage=storage).ask()
    study = new_study(space, storage=storage)
    assert study.unfinished() == [0]
    assert study.take_up(0) is None
    assert study.unfinished() == []


def test_running_trials_are_taken_up_as_they_are(space: GeneSpace) -> None:
    study = new_study(space)
    record = study.start(space, sampler_for(space))
    assert study.take_up(0) == record
    assert study.count == 1


# Files


def test_only_members_of_the_front_keep_weights(space: GeneSpace, tmp_path: Path) -> None:
    study = new_study(space, tmp_path)

    def kept() -> set[str]:
        return {path.stem for path in (tmp_path / "weights").glob("*")}

    run(study, space, (MIDDLE, 0.5))
    assert kept() == {"trial-00000"}
    run(study, space, (LARGE, 0.4))  # dominated from the start
    assert kept() == {"trial-00000"}
    run(study, space, (SMALL, 0.2), (LARGE, 0.9))  # a smaller and a larger one beside it
    assert kept() == {"trial-00000", "trial-00002", "trial-00003"}
    run(study, space, (SMALL, None), (SMALL, 0.9))  # as good as the best, and the smallest
    assert kept() == {"trial-00005"}
    assert not list((tmp_path / "checkpoints").glob("*"))


@pytest.mark.parametrize("end", ["fail", "stop"])
def test_a_trial_without_accuracy_leaves_no_files(space: GeneSpace, tmp_path: Path, end: str) -> None:
    study = new_study(space, tmp_path)
    record = study.start(space, sampler_for(space))
    job = study.job(record)
    for path in (job.checkpoint, job.weights):
        assert path is not None
        path.parent.mkdir(parents=True)
        path.write_text("")
    study.fail(0, "no") if end == "fail" else study.stop(record)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert study.records[0].state == (TrialState.FAILED if end == "fail" else TrialState.STOPPED)


def test_paths_in_jobs_are_absolute(space: GeneSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # workers of a running cluster are somewhere else
    study = new_study(space, Path("studies/x"))
    job = study.job(study.start(space, sampler_for(space)))
    assert job.weights == tmp_path / "studies/x/weights/trial-00000.safetensors"
    assert job.checkpoint == tmp_path / "studies/x/checkpoints/trial-00000.safetensors"


def test_a_study_without_folder_keeps_no_files(space: GeneSpace) -> None:
    study = new_study(space)
    job = study.job(study.start(space, sampler_for(space)))
    assert (job.weights, job.checkpoint, study.weights_path(0)) == (None, None, None)


def test_a_full_database_is_a_storage_error_and_nothing_is_lost(space: GeneSpace, tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "s.db")
    storage = open_storage(url)
    study = new_study(space, storage=storage)
    run(study, space, (SMALL, 0.5))
    record = study.start(space, Fixed(space, LARGE))
    with storage.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(StorageError, match="full"):
        study.set_curve(record.number, [EpochResult(1, 9, 0.5, {"note" * 10_000: 1.0})])
    storage.engine.dispose()  # type: ignore[attr-defined]
    again = new_study(space, storage=open_storage(url))
    assert [r.top1 for r in again.records] == [0.5]
    assert again.unfinished() == [1]


def test_states_are_optunas(space: GeneSpace) -> None:
    study = new_study(space)
    sampler = sampler_for(space)
    study.stop(study.start(space, sampler))
    study.fail(study.start(space, sampler).number, "x")
    study.complete(study.start(space, sampler), 0.5)
    states = [trial.state for trial in study.optuna_study.trials]
    assert states == [OptunaState.PRUNED, OptunaState.FAIL, OptunaState.COMPLETE]

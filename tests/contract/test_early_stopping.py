"""What every row of `EARLY_STOPPING` promises, so that a new row is tested before its author writes a test."""

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bsconv_nas.api import search
from bsconv_nas.base.limits import Limits
from bsconv_nas.cli.search_options import EarlyStoppingOption, GracePeriodOption, ReductionFactorOption
from bsconv_nas.engine.early_stopping import (
    EARLY_STOPPING,
    OPTIONS,
    find_early_stopping,
    options_of,
    rules_help,
    rules_that_take,
)
from bsconv_nas.engine.options import SearchOptions
from bsconv_nas.engine.search import Search, Verdict
from bsconv_nas.errors import UsageError
from bsconv_nas.evaluation import Curve, EpochResult
from bsconv_nas.plan import make_plan
from bsconv_nas.samplers import SAMPLERS, make_sampler
from bsconv_nas.study import TrialState
from bsconv_nas.study.settings import SearchSettings, read_study_file
from bsconv_nas.study.storage import open_storage
from tests.commands import run_command
from tests.made_up import StopsBelow
from tests.searches import Epochs, table_space
from tests.stopping import SPACE, Curves, new_study, outcome, run_search
from tests.whole_way import assert_shown, page_data

ROOT = Path(__file__).parents[2]
RULES = [name for name, rule in EARLY_STOPPING.items() if rule is not None]
every_rule = pytest.mark.parametrize("rule", [*RULES, "made-up"])
VALUES = {"grace_period": 3, "reduction_factor": 4.0}


@pytest.fixture(autouse=True)
def made_up_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EARLY_STOPPING, "made-up", StopsBelow())


# What rules decide


@every_rule
@pytest.mark.parametrize("stop_at", [(0, 1), (3, 1), (9, 1)])
def test_an_interrupted_search_decides_as_an_uninterrupted_one(rule: str, stop_at: tuple[int, int]) -> None:
    whole, storage = new_study(), open_storage(None)
    run_search(whole, Curves(), 16, rule=rule)
    with pytest.raises(KeyboardInterrupt):
        run_search(new_study(storage), Curves(stop_at=stop_at), 16, rule=rule)
    again = new_study(storage)
    run_search(again, Curves(), 16, rule=rule)
    assert outcome(again) == outcome(whole)


@pytest.mark.parametrize("rule", RULES)
def test_eight_at_a_time_in_any_order_keep_the_front(rule: str) -> None:
    study, rng = new_study(), random.Random(0)
    sampler = make_sampler("random", SPACE, Limits(), 0)
    run = Search(study, SPACE, sampler, 30, early_stopping=find_early_stopping(rule))
    trainings: dict[int, Iterator[EpochResult]] = {}
    while study.count < 30 or trainings:
        while len(trainings) < 8 and (job := run.next()) is not None:
            trainings[job.number] = Curves().run(job)
        number = rng.choice(sorted(trainings))
        result = next(trainings[number])
        verdict = run.report(number, result)
        if result.final:
            run.finish(number)
        if result.final or verdict is Verdict.STOP:
            del trainings[number]
    assert {record.state for record in study.records} == {TrialState.COMPLETE, TrialState.STOPPED}
    assert {tuple(record.genotype) for record in study.front()} == {(width, 1) for width in range(5)}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "gp"])  # gp needs torch and seconds a trial
def test_stopped_trials_trip_no_sampler(sampler: str, rule: str) -> None:
    study = new_study()
    run_search(study, Curves(), 28, sampler, rule)
    states = {record.state for record in study.records}
    assert states == {TrialState.COMPLETE, TrialState.STOPPED}
    assert not any(trial.intermediate_values for trial in study.optuna_study.trials)


# What options rules take


@every_rule
@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_sets_the_field_of_a_rule_or_is_refused_in_one_line(rule: str, option: str) -> None:
    settings = SearchSettings.model_validate({"early_stopping": rule, option: VALUES[option], "workers": 0})
    if option in options_of(rule):
        changed = find_early_stopping(rule, {option: VALUES[option]})
        assert changed != EARLY_STOPPING[rule]
        assert getattr(changed, OPTIONS[option]) == VALUES[option]
        make_plan(settings)
        assert rule in rules_that_take(option)
    else:
        with pytest.raises(UsageError, match=f"early stopping '{rule}' has no .*; leave it out, or ask for") as caught:
            make_plan(settings, lambda settings: pytest.fail("images are read"))
        assert "\n" not in str(caught.value)


def test_options_that_are_not_set_change_nothing() -> None:
    for name, rule in EARLY_STOPPING.items():
        assert find_early_stopping(name, dict.fromkeys(OPTIONS)) is rule


def test_every_option_of_the_table_is_a_setting() -> None:
    assert OPTIONS.keys() == VALUES.keys()
    assert OPTIONS.keys() <= SearchSettings.model_fields.keys()


def test_a_rule_that_is_no_dataclass_takes_no_options(monkeypatch: pytest.MonkeyPatch) -> None:
    class Patient:
        first_rung = 1

        def continues(self, cost: float, curve: Curve, others: Iterable[tuple[float, Curve]]) -> bool:
            return True

    monkeypatch.setitem(EARLY_STOPPING, "patient", Patient())
    assert isinstance(find_early_stopping("patient"), Patient)
    with pytest.raises(UsageError, match="early stopping 'patient' has no grace period; leave it out, or ask for"):
        find_early_stopping("patient", {"grace_period": 2})


def test_unknown_rules_are_refused_before_images_are_read() -> None:
    with pytest.raises(UsageError, match="unknown early stopping 'mode-up'; did you mean 'made-up'"):
        make_plan(SearchSettings(early_stopping="mode-up"), lambda settings: pytest.fail("images are read"))


def _help_of(option: object) -> str:
    return option.__metadata__[0].help  # type: ignore[attr-defined]


def test_the_help_of_the_command_line_comes_from_the_rows() -> None:
    text = _help_of(EarlyStoppingOption)
    assert all(name in text for name in RULES)
    assert all(name in _help_of(GracePeriodOption) for name in RULES if "grace_period" in options_of(name))
    assert all(name in _help_of(ReductionFactorOption) for name in RULES if "reduction_factor" in options_of(name))
    assert "made-up: stops trainings whose accuracy at the first decision is below half of the best" in rules_help()


# A made-up rule, the whole way: search, front, JSON of the command line, data of the report page


def test_the_example_of_the_documentation_runs() -> None:
    text = (ROOT / "docs" / "samplers.md").read_text().split("### A rule of your own")[1]
    names: dict[str, Any] = {}
    exec(text.split("```python\n")[1].split("```")[0], names)
    states = {record.state for record in names["study"].records}
    assert states == {TrialState.COMPLETE, TrialState.STOPPED}


@pytest.mark.parametrize("rule", ["made-up", StopsBelow(first_rung=2)])
def test_a_made_up_rule_goes_the_whole_way(
    rule: str | StopsBelow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = table_space()
    arguments = {
        "limits": {"macs": 4000.0},
        "sampler": "random",
        "trials": 20,
        "options": SearchOptions(early_stopping=rule),
    }
    study = search(space, Epochs(4), folder=tmp_path / "s", **arguments)  # type: ignore[arg-type]
    again = search(space, Epochs(4), **arguments)  # type: ignore[arg-type]
    assert outcome(study) == outcome(again)
    stopped = [record for record in study.records if record.state is TrialState.STOPPED]
    assert stopped
    assert all(len(record.curve) == 2 and record.top1 is None for record in stopped)
    data = assert_shown(study, capsys)
    assert sum(row.state == "stopped" for row in data["rows"]) == len(stopped)


def _stops_all_but_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    class StopsLater(StopsBelow):
        """Stops all trainings but the first at the first decision."""

        def continues(self, cost: float, curve: Curve, others: Iterable[tuple[float, Curve]]) -> bool:
            return not curve or curve[-1].epoch != self.first_rung or not any(other for _, other in others)

    monkeypatch.setitem(EARLY_STOPPING, "made-up", StopsLater())


def test_a_made_up_rule_and_its_option_are_known_to_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _stops_all_but_the_first(monkeypatch)
    small = ["--trials", "2", "--epochs", "3", "--train-fraction", "0.1", "--workers", "0", "--dir", str(tmp_path)]
    rule = ["--early-stopping", "made-up", "--grace-period", "1"]
    assert run_command(["search", *small, *rule, "--study", "s", "--json"]) == 0
    assert [row["trial"] for row in json.loads(capsys.readouterr().out)["front"]] == [0]
    settings = read_study_file(tmp_path / "s").settings
    assert (settings.early_stopping, settings.grace_period) == ("made-up", 1)
    rows = {row.number: (row.state, row.epoch) for row in page_data(tmp_path / "s")["rows"]}
    assert rows[1] == ("stopped", 1)
    assert rows[0][0] == "complete"


@pytest.mark.parametrize("rule", ["made-up", "forecast", "none"])
def test_an_option_that_a_rule_lacks_is_one_line_on_the_command_line(
    rule: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--early-stopping", rule, "--reduction-factor", "3", "--workers", "0", "--dir", str(tmp_path)]
    assert run_command(["search", *options]) == 2
    message = f"early stopping {rule!r} has no reduction factor; leave it out, or ask for asha"
    assert capsys.readouterr().err == f"bsconv-nas: error: {message}\n"

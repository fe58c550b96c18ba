"""Between Ray Tune and a search: failures of workers at moments that Tune does not forgive."""

import logging

import pytest

from bsconv_nas.evaluation import EpochResult
from bsconv_nas.executors.tune_adapter import TuneAdapter
from bsconv_nas.spaces.genes import GeneSpace
from tests.searches import new_search


def test_a_job_that_tune_gives_up_too_early_is_handed_out_again(
    space: GeneSpace, caplog: pytest.LogCaptureFixture
) -> None:
    search = new_search(space, trials=2)
    adapter = TuneAdapter(search, max_retries=2)
    first, other = adapter.next_job("a"), adapter.next_job("b")
    assert first is not None
    assert other is not None
    assert adapter.next_job("c") is None
    with caplog.at_level(logging.WARNING, "bsconv_nas"):
        adapter.worker_failed("a", "worker process has died")
        adapter.gave_up("a")
    assert "trial 0: its worker died (killed or crashed (out of memory?)); trying again" in caplog.text
    assert not adapter.done
    assert adapter.next_job("d") == (first[0], 1)
    for tune_id, number in (("b", 1), ("d", 0)):
        assert not adapter.done
        adapter.take(tune_id, {"epochs": [[1, 1, 0.5, {}]]})
        assert search.study.records[-1].number == number
    assert adapter.next_job("e") is None
    assert adapter.done


def test_a_job_fails_when_its_workers_died_too_often_whoever_counts(space: GeneSpace) -> None:
    search = new_search(space, trials=1)
    adapter = TuneAdapter(search, max_retries=1)
    assert adapter.next_job("a")
    for tune_id in ("a", "b"):
        adapter.worker_failed(tune_id, "")
        adapter.gave_up(tune_id)
        adapter.next_job("b")
    (failed,) = search.study.records
    assert failed.reason == "its worker died 2 times: killed or crashed (out of memory?)"
    assert adapter.done


def test_a_suspended_search_hands_nothing_out_again(space: GeneSpace) -> None:
    search = new_search(space, trials=2)
    adapter = TuneAdapter(search, max_retries=2)
    adapter.next_job("a")
    search.report(0, EpochResult(1, 2, 0.5))
    adapter.worker_failed("a", "")
    adapter.gave_up("a")
    search.suspend("enough")
    assert adapter.next_job("b") is None
    assert adapter.done
    assert search.study.unfinished() == [0]


def test_an_error_of_the_search_ends_it(space: GeneSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    search = new_search(space, trials=2)
    adapter = TuneAdapter(search, max_retries=2)

    def fails() -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(search, "next", fails)
    assert adapter.next_job("a") is None
    assert adapter.done
    assert str(adapter.error) == "broken"

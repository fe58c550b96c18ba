"""A search limited by latency: operations measured on this machine, one table for the life of a study."""

import json
from pathlib import Path

import pytest
import torch

from bsconv_nas.api import search
from bsconv_nas.engine.options import SearchOptions
from bsconv_nas.errors import StudyError
from bsconv_nas.latency import calibrate as measured_space
from bsconv_nas.latency.measure import Setting
from bsconv_nas.networks.latency_table import FILE, LATENCY
from bsconv_nas.plan import make_plan, with_latency
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.spaces.operations import operations_in
from bsconv_nas.study import Study
from bsconv_nas.study.settings import SearchSettings

TINY = """
schema_version = 1
name = "tiny"
title = "A few operations"
image_size = [1, 64]
stem = { out_channels = [8], stride = 2 }
layers = { conv = ["U", "S-1/2"], kernel_size = [3] }
network = { shortcut = ["none", "pair"], se = [false, true] }
stages = [{ stride = 1, depth = [1, 2, 3], width = [8, 16] }]
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A space file; the cache is empty, and few networks are measured as a whole."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(measured_space, "NETWORKS", 4)
    monkeypatch.setattr(measured_space, "_NETWORK_SECONDS", 0.02)
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path / "tiny.toml"


def limited(space: Path, folder: Path, trials: int) -> Study:
    limits = {"latency_ms": "10000ms", "macs": "1M"}
    options = SearchOptions(epochs=1)
    return search(space=space, limits=limits, data="digits", trials=trials, seed=1, folder=folder, options=options)


def test_every_operation_is_measured_and_progress_is_told(tiny: Path) -> None:
    space = ArchSpace(find_space(str(tiny)), (8, 8), 10)
    seen: list[tuple[int, int]] = []
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    table = measured_space.measured_table(space, Setting(), lambda done, total: seen.append((done, total)))
    assert (torch.get_num_threads(), torch.equal(torch.get_rng_state(), state)) == (threads, True)
    assert list(table.ms) == operations_in(space)
    assert {operation.kind for operation in table.ms} == {"norm", "conv", "relu", "se", "add", "classifier"}
    assert all(value > 0 for value in table.ms.values())
    assert len(table.checks) == 2
    assert seen == [(step, seen[0][1]) for step in range(1, seen[0][1] + 1)]


def test_a_continued_search_keeps_its_table(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = limited(tiny, tmp_path / "study", 1)
    stored = json.loads((tmp_path / "study" / FILE).read_text())
    assert first.limits.bounds[LATENCY] == 10_000
    assert 0 < first.records[0].cost[LATENCY] <= 10_000
    cached = list((tmp_path / "cache/bsconv-nas/latency").iterdir())
    assert [json.loads(path.read_text()) for path in cached] == [stored]
    cached[0].unlink()
    monkeypatch.delattr(measured_space, "measured_table")
    second = limited(tiny, tmp_path / "study", 2)
    assert len(second.records) == 2
    assert all(LATENCY in record.cost for record in second.records)
    # Without its table the study cannot be continued on other numbers.
    (tmp_path / "study" / FILE).write_text(json.dumps({**stored, "factor": stored["factor"] + 0.1}))
    with pytest.raises(StudyError, match="was made with other latency"):
        limited(tiny, tmp_path / "study", 3)


def test_a_search_without_the_limit_measures_nothing(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(measured_space, "table_of")
    settings = SearchSettings(space=str(tiny), limits={"macs": 1e6})
    plan = make_plan(settings)
    assert with_latency(plan, None) is plan
    assert "latency" not in plan.facts

"""A study opens in optuna-dashboard too, with its limits as constraints."""

import io
import json
from pathlib import Path

import pytest

import bsconv_nas
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.study.storage import open_storage, sqlite_url
from tests.searches import LIMITS, table_top1


@pytest.mark.filterwarnings("ignore")  # those of another program
def test_optuna_dashboard_shows_trials_and_constraints(tmp_path: Path, space: GeneSpace) -> None:
    dashboard = pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    study = bsconv_nas.search(space, table_top1, LIMITS, trials=6, sampler="random", folder=tmp_path / "s")
    app = dashboard.wsgi(open_storage(sqlite_url(tmp_path / "s/study.db")))
    status: list[str] = []
    environment = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/api/studies/1",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
    }
    body = b"".join(app(environment, lambda line, headers, error=None: status.append(line)))
    assert status == ["200 OK"]
    trials = json.loads(body)["trials"]
    assert len(trials) == 6
    records = {record.number: record for record in study.records}
    for trial in trials:
        record = records[trial["number"]]
        assert trial["values"] == [record.top1, record.cost["macs"]]
        assert trial["constraints"] == [record.cost["macs"] - LIMITS["macs"]]

"""What the server answers, and to whom; no browser needed."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.made_up_study import MadeUpStudy
from bsconv_nas.dashboard.published import published_curves
from bsconv_nas.dashboard.security import allowed_host
from bsconv_nas.dashboard.source import StudySource
from bsconv_nas.spaces.references import reference_names
from bsconv_nas.study.importance import LEAST_TRIALS
from tests.browser.serving import served


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("server")
    study = MadeUpStudy(directory / "first", asked=40)
    study.add(20)
    return directory


@pytest.mark.parametrize(
    ("header", "bound", "allowed"),
    [
        ("127.0.0.1:8765", "127.0.0.1", True),
        ("localhost:1", "127.0.0.1", True),
        ("[::1]:8765", "127.0.0.1", True),
        ("evil.example:8765", "127.0.0.1", False),
        ("127.0.0.1.evil.example", "127.0.0.1", False),
        ("192.168.0.7:8765", "127.0.0.1", False),
        ("", "127.0.0.1", False),
        ("192.168.0.7:8765", "0.0.0.0", True),
        ("[fe80::1]:8765", "::", True),
        ("evil.example", "0.0.0.0", False),
        ("lab.example:80", "lab.example", True),
    ],
)
def test_hosts(header: str, bound: str, allowed: bool) -> None:
    assert allowed_host(header, bound) is allowed


def test_importances_are_worked_out_anew_for_every_quarter_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def count(source: StudySource) -> dict[str, float]:
        asked.append(sum(row.top1 is not None for row in source.table.rows.values()))
        return {"width": 1.0}

    monkeypatch.setattr("bsconv_nas.dashboard.app.importance_of", count)
    study = MadeUpStudy(tmp_path / "first", asked=60)
    with served(tmp_path) as server:
        (key,) = [row["key"] for row in server.json("/api/studies")]
        for _ in range(30):
            study.add(1)
            server.json(f"/api/snapshot?study={key}")
            assert server.json(f"/api/importance?study={key}") == {"width": 1.0}
    worked = [number for number in asked if number >= LEAST_TRIALS]
    assert worked
    assert all(later >= 1.25 * earlier for earlier, later in pairwise(worked))


def test_only_known_hosts_and_reading_requests(directory: Path) -> None:
    with served(directory) as server:
        assert server.get("/")[0] == 200
        assert server.get("/", Host="evil.example")[0] == 421
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            assert server.get("/api/studies", method)[0] == 405
        status, headers, _ = server.get("/")
        assert status == 200
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_a_token_is_asked_for_on_other_addresses(directory: Path) -> None:
    with served(directory, host="0.0.0.0", token="secret-token") as server:
        assert server.get("/")[0] == 403
        assert server.get("/api/snapshot?study=first")[0] == 403
        assert server.get("/?token=wrong")[0] == 403
        status, headers, _ = server.get("/?token=secret-token")
        assert (status, headers["location"]) == (303, "/")
        cookie = headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert server.get("/", Cookie=cookie.split(";")[0])[0] == 200


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/api/snapshot?study=other", 404, "no study 'other'"),
        ("/api/trial?study=first&number=99", 404, "has no trial 99"),
        ("/api/trial?study=first&number=x", 400, "a whole number"),
        ("/api/choices?study=first&numbers=99", 404, "has no trial 99"),
        ("/assets/..%2Fapp.py", 404, "Not Found"),
        ("/assets/nothing.js", 404, "no such page"),
        ("/nothing", 404, "Not Found"),
        ("/api/stream?study=first", 400, "study is 'first'"),
    ],
)
def test_errors_are_sentences(directory: Path, path: str, status: int, sentence: str) -> None:
    with served(directory) as server:
        found, _, body = server.get(path)
        assert found == status
        assert sentence in json.loads(body)["error"]


def test_changes_are_pushed_and_small(tmp_path: Path) -> None:
    study = MadeUpStudy(tmp_path / "s", asked=1000)
    study.add(300)
    with served(tmp_path) as server:
        start = server.json("/api/snapshot?study=s")
        assert len(start["rows"]) == 300
        with server.events("s", start["epoch"], start["revision"]) as events:
            _, message = next(events)  # how the study stands
            assert message["rows"] == []
            study.add(2)
            size, message = next(events)
            assert [row[0] for row in message["rows"]] == [300, 301]
            assert not message["fresh"]
            assert size < 2_000
        with server.events("s", "another.server", 5) as events:
            _, message = next(events)
            assert message["fresh"]
            assert len(message["rows"]) == 302


def test_details_of_a_trial(directory: Path) -> None:
    with served(directory) as server:
        server.json("/api/snapshot?study=first")
        trial = server.json("/api/trial?study=first&number=3")
        assert sum(layer["cost"]["macs"] for layer in trial["layers"]) == trial["cost"]["macs"]
        assert sum(layer["cost"]["params"] for layer in trial["layers"]) == trial["cost"]["params"]
        assert trial["commands"]["export"].startswith("bsconv-nas export ")
        choices = server.json("/api/choices?study=first&numbers=3,4")
        assert set(choices) == {"3", "4"}


def test_references_of_the_study(directory: Path) -> None:
    known = reference_names((32, 32), 10)
    assert "resnet-bsconvu" in known.values()
    with served(directory) as server:
        facts = server.json("/api/snapshot?study=first")["facts"]
        assert facts["references"] == known
        families = {curve["family"] for curve in facts["published"]}
        assert "WRN-16 + BSConv-U" in families
    assert published_curves(["cat", "dog"], [32, 32]) == []

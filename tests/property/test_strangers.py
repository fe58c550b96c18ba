"""Files from strangers are data: whatever is in them, they are read or refused, and nothing else happens."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bsconv_nas.cli.targets import read_arch
from bsconv_nas.errors import ArchError, BsconvNasError, UsageError
from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.networks.latency_table import read_table
from bsconv_nas.study import Study
from bsconv_nas.study.storage import open_storage, sqlite_url
from tests.property.readers import READERS, example_of, first_arch, holders
from tests.searches import new_study, sampler_for, table_space

KEPT = sorted((Path(__file__).parents[1] / "data" / "strangers").glob("*/*"))
Edit = Callable[[bytes], bytes]

PLACES = st.floats(0, 1)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def edits(draw: st.DrawFn) -> Edit:
    """A few changes of bytes: replaced, put in, cut out, cut off."""
    steps = draw(st.lists(st.tuples(PLACES, st.integers(0, 20), st.binary(max_size=12)), min_size=1, max_size=4))
    end = draw(st.none() | PLACES)

    def edit(data: bytes) -> bytes:
        for place, gone, new in steps:
            at = int(place * len(data))
            data = data[:at] + new + data[at + gone :]
        return data if end is None else data[: int(end * len(data))]

    return edit


@given(edits())
@example(lambda data: b"[" * 100_000)
@example(lambda data: b"1" * 5_000)
@example(lambda data: data.replace(b":8", b":1e999"))
@example(lambda data: data.replace(b":8", b":NaN"))
def test_architectures(edit: Edit) -> None:
    READERS["arch"](edit(first_arch().to_json().encode()))


@given(st.lists(st.tuples(PLACES, VALUES), min_size=1, max_size=3))
def test_architectures_with_other_values(changes: list[tuple[float, Any]]) -> None:
    data = first_arch().to_dict()
    for place, value in changes:
        places = holders(data)
        holder, key = places[int(place * (len(places) - 1))]
        holder[key] = value
    with suppress(ArchError):
        assert ArchSpec.from_dict(ArchSpec.from_dict(data).to_dict()).arch_id


@given(edits(), st.sampled_from(["study", "space"]))
@example(lambda data: b"a=" + b"[" * 5_000, "space")
@example(lambda data: b"title = " + b"9" * 5_000, "study")
@example(lambda data: b"\xff\xfe", "study")
def test_toml_files(edit: Edit, name: str) -> None:
    READERS[name](edit(example_of(name)))


@settings(max_examples=30)
@given(edits())
@example(lambda data: b"\xff" * 8 + data[8:])
@example(lambda data: (2**40).to_bytes(8, "little") + data[8:])
@example(lambda data: b"\x80\x04\x95" + data)  # a pickle
def test_checkpoints_and_weights(edit: Edit) -> None:
    READERS["checkpoint"](edit(example_of("checkpoint")))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_inputs_that_were_once_too_much(path: Path) -> None:
    READERS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", ["a.json", "a.toml"])
@pytest.mark.parametrize(
    "text", [b"a=" + b"[" * 5_000, b"a = " + b"9" * 5_000, b"[" * 100_000, b"\xff", b" " * 1_000_001]
)
def test_architectures_named_on_the_command_line(tmp_path: Path, name: str, text: bytes) -> None:
    (tmp_path / name).write_bytes(text)
    with pytest.raises(UsageError):
        read_arch(tmp_path / name)


def test_latency_tables(tmp_path: Path) -> None:
    for text in (b"[" * 100_000, b"9" * 5_000, b"\xff", b"{}"):
        (tmp_path / "latency.json").write_bytes(text)
        assert read_table(tmp_path / "latency.json", "space", 1) is None


@cache
def database() -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "study.db"
        storage = open_storage(sqlite_url(file))
        space = table_space()
        study = new_study(space, storage=storage)
        for number in range(3):
            record = study.start(space, sampler_for(space))
            study.complete(record, 0.5) if number else study.fail(record.number, "no")
        storage.engine.dispose()  # type: ignore[attr-defined]
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return file.read_bytes()


def read_database(content: bytes, change: Callable[[sqlite3.Connection], object] | None = None) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "study.db"
        file.write_bytes(content)
        if change is not None:
            with closing(sqlite3.connect(file)) as connection, connection:
                change(connection)
        storage = None
        try:
            with suppress(BsconvNasError):
                storage = open_storage(sqlite_url(file))
                study = Study.load(storage, "s")
                assert len(study.records) <= 3
                study.front()
        finally:
            if storage is not None:
                storage.engine.dispose()  # type: ignore[attr-defined]


@settings(max_examples=15)
@given(edits())
def test_databases(edit: Edit) -> None:
    read_database(edit(database()))


@settings(max_examples=15)
@given(st.sampled_from(["cost", "seed", "identity", "curve", "limits", "genes", "schema_version"]), VALUES)
@example("cost", {"macs": "much"})
@example("cost", {})
@example("curve", [[1, 2]])
@example("limits", {"macs": None})
def test_databases_with_other_values(key: str, value: object) -> None:
    def change(connection: sqlite3.Connection) -> None:
        for table in ("trial_user_attributes", "study_user_attributes"):
            connection.execute(f"UPDATE {table} SET value_json = ? WHERE key = ?", (json.dumps(value), key))

    read_database(database(), change)

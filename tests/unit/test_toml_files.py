import os
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BeforeValidator, Field, ValidationError

from bsconv_nas.base.toml_files import TomlModel, check_toml, read_toml
from bsconv_nas.errors import UsageError


class Inner(TomlModel):
    width: int
    height: int = 3


class Outer(TomlModel):
    name: str
    ratio: Annotated[float, Field(gt=0)] = 1.0
    single: Inner | None = None
    many: Annotated[tuple[Inner, ...], BeforeValidator(tuple)] = ()


def _problem(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "study.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UsageError) as caught:
        read_toml(path, Outer)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < 400
    return message.removeprefix(str(path))


def test_a_valid_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('name = "ä"\nratio = 2\nsingle.width = 1\n[[many]]\nwidth = 4\r\n', encoding="utf-8")
    assert read_toml(path, Outer) == Outer(name="ä", ratio=2.0, single=Inner(width=1), many=(Inner(width=4),))


def test_what_was_read_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        check_toml({"name": "a"}, Outer, "here").name = "b"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('name = "a"\nratoi = 2', "unknown key 'ratoi'; did you mean 'ratio'?"),
        ('name = "a"\n[single]\nwidht = 1', "unknown key 'single.widht'; did you mean 'width'? (known: height, width)"),
        ('name = "a"\n[[many]]\nwidht = 1', "unknown key 'many.0.widht'; did you mean 'width'? (known: height, width)"),
        ("nmae = 'a'", "unknown key 'nmae'; did you mean 'name'?"),
        ("ratio = 2", "lacks 'name'; add it"),
        ('name = "a"\n[single]\nheight = 1', "lacks 'single.width'; add it"),
        ("name = 3", "name is 3; Input should be a valid string"),
        ('name = "a"\nratio = "2"', "ratio is '2'; Input should be a valid number"),
        ('name = "a"\nratio = true', "ratio is True"),
        ('name = "a"\nratio = 0', "ratio is 0; Input should be greater than 0"),
        ('name = "a"\nratio = nan', "ratio is nan"),
        ('name = "a"\nsingle.width = 1.0', "single.width is 1.0"),
        ('name = "a"\nsingle.width = "' + "x" * 500 + '"', "..."),
        ("name = ", "is not TOML"),
        ('name = "a"\nname = "b"', "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        ("a = " + "[" * 20_000, "is not TOML"),
        ("a = " + "9" * 5_000, "is not TOML"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, text: str | bytes, expected: str) -> None:
    assert expected in _problem(tmp_path, text)


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*nothing\.toml: No such file or directory; check the path"):
        read_toml(tmp_path / "nothing.toml", Outer)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "huge.toml").write_text("#" * 1_000_001)
    with pytest.raises(UsageError, match=r"cannot read .*huge\.toml: larger than 1000000 bytes"):
        read_toml(tmp_path / "huge.toml", Outer)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(UsageError, match="not a regular file"):
        read_toml(tmp_path / "pipe.toml", Outer)


def test_a_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory"):
        read_toml(tmp_path, Outer)


def test_plain_data_is_named_in_its_errors() -> None:
    with pytest.raises(UsageError, match=r"^the defaults: lacks 'name'"):
        check_toml({}, Outer, "the defaults")

"""A finished study, and the command line in this process."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import run_command
from tests.e2e.command_line import TINY, Called, run


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Called]:
    """Run the command line in this process: for the many bad inputs, of which each would start torch anew."""

    def called(*arguments: str | Path) -> Called:
        monkeypatch.setattr(sys, "argv", list(sys.argv))
        capsys.readouterr()
        code = run_command([*map(str, arguments)])
        captured = capsys.readouterr()
        return Called(code, captured.out, captured.err)

    return called


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the finished study `s` of the digits. Only to be read."""
    directory = tmp_path_factory.mktemp("studies")
    done = run("search", *TINY, "--flops", "200k", "--study", "s", "--dir", directory)
    assert done.returncode == 0, done.stderr
    (directory / "output.txt").write_text(done.stdout)
    (directory / "errors.txt").write_text(done.stderr)
    return directory

"""Every command and program of the README is run, with settings that keep it short."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CLI = [sys.executable, "-m", "bsconv_nas"]
SHORT = ["--trials", "2", "--epochs", "1", "--workers", "0"]
VERBS = {
    "search": SHORT,
    "train": ["--epochs", "1"],
    "finalize": ["--epochs", "1", "--seeds", "1", "--top", "1", "--workers", "0"],
    "export": ["--format", "onnx"],
}
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    lines = [line.split("#")[0] for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
    return [part.strip() for line in lines for part in line.split("&&") if "bsconv-nas " in part]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images of the README's `path/to/images`, where all commands run in the order shown."""
    home = tmp_path_factory.mktemp("readme")
    for part, count in (("train", 6), ("test", 2)):
        for label, shade in (("dark", 40), ("light", 200)):
            images = home / "path/to/images" / part / label
            images.mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (16, 16), (shade, shade + i, shade)).save(images / f"{i}.png")
    return home


def test_readme_shows_the_main_commands() -> None:
    shown = "\n".join(commands())
    for verb in ("search", "front", "profile", "finalize", "export", "verify", "studies", "spaces", "models", "train", "convert"):
        assert f"bsconv-nas {verb}" in shown


def test_commands_run_as_shown(folder: Path) -> None:
    for command in commands():
        arguments = shlex.split(command)[1:]
        short = VERBS.get(arguments[0], [])
        done = subprocess.run([*CLI, *arguments, *short], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert done.stdout.strip(), command


def test_exported_network_loads_as_shown(folder: Path) -> None:
    programs = [text for kind, text in BLOCKS if kind == "python" and "from model import load" in text]
    assert len(programs) == 1
    program = f"import sys; sys.modules['bsconv_nas'] = None\n{programs[0]}\nprint(type(network).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder / "network", capture_output=True, text=True, check=False
    )
    assert done.stdout == "Network\n", done.stderr


def test_onnx_file_classifies_a_photo_as_shown(folder: Path) -> None:
    (program,) = [text for kind, text in BLOCKS if kind == "python" and "onnxruntime" in text]
    assert len(program.splitlines()) <= 15
    Image.open(folder / "path/to/images/test/dark/0.png").resize((40, 30)).save(folder / "photo.jpg")
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.stdout.strip() in ("dark", "light"), done.stderr


def test_python_example_runs(tmp_path: Path) -> None:
    programs = [text for kind, text in BLOCKS if kind == "python" and "GeneSpace" in text]
    assert programs
    for program in programs:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


def test_test_command_is_where_ci_reads_it() -> None:
    marked = re.search(r"<!-- command: test -->\n```bash\n(.*)\n```", README)
    assert marked is not None
    assert marked[1].startswith("python3 -m venv .venv && ")
    assert marked[1].endswith(".venv/bin/pytest")


def test_files_of_how_it_works_exist() -> None:
    section = README.split("## How it works")[1].split("\n## ")[0]
    named = re.findall(r"`((?:bsconv_nas/|search_spaces/|[a-z_]+/)?[a-z_/]+\.py|[a-z_]+/)`", section)
    assert len(named) > 8
    for name in named:
        assert (ROOT / name).exists() or (ROOT / "bsconv_nas" / name).exists(), name

"""Every command and program of the README and of docs/ is run, with settings that keep it short.

Blocks marked `bash` are run in the order shown, in a folder of their document; a block that cannot be run here, because
it needs a cluster or a server, is marked `console`.
"""

import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from PIL import Image

from bsconv_nas import cli

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md"))]
README = (ROOT / "README.md").read_text()
SHORT = ["--trials", "2", "--epochs", "1", "--workers", "0"]
VERBS = {
    "search": SHORT,
    "train": ["--epochs", "1"],
    "finalize": ["--epochs", "1", "--seeds", "1", "--top", "1", "--workers", "0"],
    "export": ["--format", "onnx"],
}


def blocks(document: str) -> list[tuple[str, str]]:
    return re.findall(r"```(\w+)\n(.*?)```", (ROOT / document).read_text(), flags=re.DOTALL)


def commands(document: str) -> list[str]:
    lines = [line.split("#")[0] for kind, text in blocks(document) if kind == "bash" for line in text.splitlines()]
    return [part.strip() for line in lines for part in line.split("&&") if "bsconv-nas " in part]


def programs(document: str, having: str) -> list[str]:
    return [text for kind, text in blocks(document) if kind == "python" and having in text]


def run(arguments: list[str]) -> int | str | None:
    """Run the command line in this process: starting another one and loading torch takes longer than most commands."""
    sys.argv = ["bsconv-nas", *arguments]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries; a user sees them once
        try:
            cli.main()
        except SystemExit as end:
            return end.code
    return None


def run_python(program: str, folder: Path, *flags: str) -> str:
    done = subprocess.run(
        [sys.executable, *flags, "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images of `path/to/images`."""
    home = tmp_path_factory.mktemp("documents")
    for part, count in (("train", 6), ("test", 2)):
        for label, shade in (("dark", 40), ("light", 200)):
            images = home / "path/to/images" / part / label
            images.mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (16, 16), (shade, shade + i, shade)).save(images / f"{i}.png")
    return home


@pytest.fixture
def in_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    return home


def test_readme_shows_the_main_commands() -> None:
    shown = "\n".join(commands("README.md"))
    for verb in (
        "search",
        "front",
        "dashboard",
        "finalize",
        "export",
        "verify",
        "spaces",
        "models",
        "train",
        "convert",
    ):
        assert f"bsconv-nas {verb}" in shown


# Those of docs/export.md are run by test_export_docs.py, which also looks at what they leave behind.
@pytest.mark.parametrize("document", [document for document in DOCUMENTS if document != "docs/export.md"])
def test_commands_run_as_shown(document: str, in_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands(document):
        arguments = shlex.split(command)[1:]
        if arguments[0] == "dashboard":
            check_server(arguments, in_home)
            continue
        code = run([*arguments, *VERBS.get(arguments[0], [])])
        shown = capsys.readouterr()
        assert code in (0, None), f"{command}: {shown.err}"
        assert shown.out.strip(), command


def check_server(arguments: list[str], folder: Path) -> None:
    """A server is started, says where it is, and ends when it is told to."""
    command = [sys.executable, "-m", "bsconv_nas", *arguments, "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        server.terminate()  # not Ctrl-C: a process that was started in the background may ignore it
        server.wait(timeout=120)
    assert line.startswith("Dashboard: http://"), line


def test_exported_network_loads_as_shown(home: Path) -> None:
    (program,) = programs("README.md", "from model import load")
    program = f"import sys; sys.modules['bsconv_nas'] = None\n{program}\nprint(type(network).__name__)"
    assert run_python(program, home / "network") == "Network"


def test_onnx_file_classifies_a_photo_as_shown(home: Path) -> None:
    (program,) = programs("README.md", "onnxruntime")
    assert len(program.splitlines()) <= 15
    Image.open(home / "path/to/images/test/dark/0.png").resize((40, 30)).save(home / "photo.jpg")
    assert run_python(program, home) in ("dark", "light")


SPACE_PROGRAMS = [(document, program) for document in DOCUMENTS for program in programs(document, "GeneSpace")]


@pytest.mark.parametrize(("document", "program"), SPACE_PROGRAMS, ids=[document for document, _ in SPACE_PROGRAMS])
def test_python_examples_run(document: str, program: str, tmp_path: Path) -> None:
    run_python(program, tmp_path, "-W", "error")


def test_the_space_file_of_the_documentation_is_one(tmp_path: Path) -> None:
    from bsconv_nas.space_file import find_space

    (text,) = [text for kind, text in blocks("docs/spaces.md") if kind == "toml"]
    path = tmp_path / "tiny.toml"
    path.write_text(text)
    assert find_space(str(path)).name == "tiny"


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


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_between_documents_lead_somewhere(document: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)", (ROOT / document).read_text())
    missing = [t for t in targets if "://" not in t and not (ROOT / document).parent.joinpath(t).exists()]
    assert not missing

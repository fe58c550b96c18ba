"""Every command and program of the README and of docs/ is run, with settings that keep it short.

Blocks marked `bash` are run in the order shown, in a folder of their document; a block that cannot be run here, because
it needs a cluster or a server, is marked `console`.
"""

import contextlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.commands import run_command

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


def study_programs(document: str) -> list[str]:
    """Programs that make or open a study on disk, which the commands of the document then show."""
    return [text for kind, text in blocks(document) if kind == "python" and re.search(r"folder=|load_study\(", text)]


def run_python(program: str, folder: Path, *flags: str) -> str:
    done = subprocess.run(
        [sys.executable, *flags, "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def furnish(folder: Path) -> Path:
    """Put the images of `path/to/images` into a folder."""
    for part, count in (("train", 6), ("test", 2)):
        for label, shade in (("dark", 40), ("light", 200)):
            images = folder / "path/to/images" / part / label
            images.mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (16, 16), (shade, shade + i, shade)).save(images / f"{i}.png")
    return folder


def run_commands(document: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the programs of a document that make or open studies, then its commands, all in one folder."""
    for program in study_programs(document):
        run_python(program, folder, "-W", "error")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    for command in commands(document):
        arguments = shlex.split(command)[1:]
        if arguments[0] == "dashboard":
            check_server(arguments, folder)
            continue
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run_command([*arguments, *VERBS.get(arguments[0], [])])
        assert code == 0, f"{command}: {err.getvalue()}"
        assert out.getvalue().strip(), command


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which the commands of the README were run."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = furnish(tmp_path_factory.mktemp("readme"))
        run_commands("README.md", folder, monkeypatch)
        yield folder


def test_readme_shows_the_main_commands() -> None:
    shown = "\n".join(commands("README.md"))
    verbs = "search front dashboard finalize export verify spaces models train convert"
    for verb in verbs.split():
        assert f"bsconv-nas {verb}" in shown


def test_commands_of_the_readme_run_as_shown(home: Path) -> None:
    assert (home / "network/MODEL_CARD.md").is_file()


# Those of docs/export.md are run by test_export_docs.py, which also looks at what they leave behind.
@pytest.mark.parametrize("document", [document for document in DOCUMENTS[1:] if document != "docs/export.md"])
def test_commands_of_docs_run_as_shown(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_commands(document, furnish(tmp_path), monkeypatch)


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


def test_the_documentation_makes_a_study_on_disk_and_opens_it(tmp_path: Path) -> None:
    make, load = study_programs("docs/spaces.md")
    run_python(make, tmp_path, "-W", "error")
    shown, best = run_python(load, tmp_path, "-W", "error").splitlines()
    assert shown.startswith("Study 'serving': 12 trials (12 complete), limits latency_ms <= 300, energy <= 20, best ")
    assert best.startswith("{'cores': ")
    assert (tmp_path / "front.html").is_file()


def test_the_space_file_of_the_documentation_is_one(tmp_path: Path) -> None:
    from bsconv_nas.spaces.files import find_space

    (text,) = [text for kind, text in blocks("docs/spaces.md") if kind == "toml"]
    path = tmp_path / "tiny.toml"
    path.write_text(text)
    assert find_space(str(path)).name == "tiny"


def test_test_command_is_where_ci_reads_it() -> None:
    marked = re.search(r"<!-- command: test -->\n```bash\n(.*)\n```", README)
    assert marked is not None
    assert marked[1].startswith("python3 -m venv .venv && ")
    assert marked[1].endswith(".venv/bin/pytest")


def test_files_that_a_trial_passes_exist() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    named = set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+(?:\.py|/))`", text))
    assert len(named) > 30
    missing = [name for name in named if not ((ROOT / name).exists() or (ROOT / "bsconv_nas" / name).exists())]
    assert not missing


def test_the_journey_has_ten_steps() -> None:
    journey = (ROOT / "docs/architecture.md").read_text().split("## The journey of one trial")[1].split("\n## ")[0]
    assert [int(number) for number in re.findall(r"^(\d+)\.", journey, re.MULTILINE)] == list(range(1, 11))


def anchors(path: Path) -> set[str]:
    """What GitHub makes of the headings of a document: `## MACs and FLOPs` is `#macs-and-flops`."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_nowhere(document: Path, link: str) -> bool:
    target, _, anchor = link.partition("#")
    path = document.parent / target if target else document
    return not path.exists() or (path.suffix == ".md" and anchor != "" and anchor not in anchors(path))


LINKING = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", "benchmarks/tables/*.md", "studies/*/*.md")
    for path in ROOT.glob(pattern)
)


@pytest.mark.parametrize("document", LINKING, ids=str)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    text = (ROOT / document).read_text()
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text)
    assert [link for link in links if "://" not in link and leads_nowhere(ROOT / document, link)] == []


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("## MACs and FLOPs (of `x`)\n")
    document = tmp_path / "b.md"
    document.write_text("# B\n")
    assert not leads_nowhere(document, "a.md#macs-and-flops-of-x")
    assert not leads_nowhere(document, "#b")
    assert all(leads_nowhere(document, link) for link in ("c.md", "a.md#flops", "#macs"))


def test_the_readme_stays_short() -> None:
    assert len(README.encode()) <= 10_000, "move details to docs/"


def test_the_first_page_says_how_long_its_networks_were_trained() -> None:
    """The lead over hand-made networks is one of three epochs, and shrinks: whoever reads of it must read that too."""
    first_page = " ".join(README.split("## Quick start")[0].split())
    assert "after three epochs of training each; longer trainings shrink the lead" in first_page


def test_one_number_for_the_time_of_ci() -> None:
    told = ("README.md", "CONTRIBUTING.md", "docs/architecture.md", ".ci/run")
    times = {name: set(re.findall(r"\d+ minutes on two cores", (ROOT / name).read_text())) for name in told}
    assert set(map(frozenset, times.values())) == {frozenset({"10 minutes on two cores"})}, times

"""What every row of `FORMATS` promises, and that one which the package does not have needs no more than its row."""

import inspect
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bsconv_nas.data import ImageData, load_search_data
from bsconv_nas.errors import BsconvNasError
from bsconv_nas.export import Source, export_network, verify
from bsconv_nas.export.formats import FORMATS, Format, Inference, find_formats
from bsconv_nas.export.verify import program_for
from bsconv_nas.export.verify_program import Form, load_module
from bsconv_nas.networks.arch import ArchSpec, BlockSpec, LayerSpec, StemSpec
from bsconv_nas.nn.build import build
from bsconv_nas.train.checkpoint import load_weights
from tests.exports import check_here
from tests.networks import settled

EARLIER = Path(__file__).parents[2] / "studies/cifar10-6M/networks/trial-67"
ARCH = ArchSpec((8, 8), 10, StemSpec(8), (BlockSpec((LayerSpec("S", 16, p=1 / 2),)),))


def write_backwards(prepared: Inference, path: Path) -> None:
    """The bytes of torch.export's file from the last to the first."""
    stream = io.BytesIO()
    torch.export.save(prepared.program, stream)
    path.write_bytes(stream.getvalue()[::-1])


def load_backwards(path: Path) -> Form:
    import io

    import torch

    return torch.export.load(io.BytesIO(path.read_bytes()[::-1])).module()


def write_guess(prepared: Inference, path: Path) -> None:
    """What guesses logits, nothing like those of the network: only an approximate row may do that."""
    path.write_text(json.dumps({"offset": prepared.example.mean().item()}))


def load_guess(path: Path) -> Form:
    import json

    offset: float = json.loads(path.read_text())["offset"]

    def form(images: Tensor) -> Tensor:
        return offset + images.mean((1, 2, 3))[:, None].expand(-1, 10)

    return form


BACKWARDS = Format(
    "backwards",
    "model.2tp",
    "torch.export program backwards",
    (),
    write_backwards,
    load_backwards,
    'import io, torch\nnetwork = torch.export.load(io.BytesIO(open("model.2tp", "rb").read()[::-1])).module()',
    tolerance=1e-3,
)
GUESS = Format("guess", "model.json", "A guess", (), write_guess, load_guess, "pass", tolerance=0.5, approximate=True)
MADE_UP = {"backwards": BACKWARDS, "guess": GUESS}
NAMES = [*FORMATS, *MADE_UP]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, row in MADE_UP.items():
        monkeypatch.setitem(FORMATS, name, row)


@pytest.fixture(scope="module")
def source() -> Source:
    network = settled(build(ARCH, seed=0), (8, 3, 8, 8), passes=4)
    return Source("net", network, ARCH, None, ARCH.image_size, tuple("0123456789"), "digits", None, test_top1=0.5)


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_search_data("digits")


def exported(source: Source, name: str, folder: Path, data: ImageData) -> Path:
    missing = FORMATS[name].missing()
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    export_network(source, folder, find_formats(name), data)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_format_is_written_listed_verified_and_refused_when_damaged(
    name: str, source: Source, digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bsconv_nas.export.folder.verify", check_here)
    row, folder = FORMATS[name], exported(source, name, tmp_path / "net", digits)
    facts = json.loads((folder / "export.json").read_text())["forms"][row.file]
    assert facts["tolerance"] == row.tolerance
    assert facts["test_top1"] == (None if row.approximate else 0.5)
    assert ("measured" in facts) == row.approximate
    card = (folder / "MODEL_CARD.md").read_text()
    assert f"{row.file}, {row.meaning}" in card
    assert row.loading in card

    checked = {finding["file"]: finding for finding in check_here(folder)}
    assert checked[row.file]["problems"] == []
    assert checked[row.file]["difference"] <= row.tolerance
    content = (folder / row.file).read_bytes()
    (folder / row.file).write_bytes(content[: len(content) // 2])
    checked = {finding["file"]: finding for finding in check_here(folder)}
    assert "does not run" in checked[row.file]["problems"][0]
    assert checked["model.py"]["problems"] == []


def test_a_made_up_format_is_verified_without_this_package(
    source: Source, digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bsconv_nas.export.folder.verify", check_here)  # `verify` below starts a process
    folder = tmp_path / "net"
    done = export_network(source, folder, find_formats("backwards,guess"), digits)
    assert done.files["model.2tp"] == BACKWARDS.meaning
    assert [finding["file"] for finding in done.findings] == ["costs", "model.py", "model.2tp", "model.json"]
    assert not any(finding["problems"] for finding in verify(folder))

    (folder / "model.json").write_text('{"offset": 7}')
    run = subprocess.run([sys.executable, "-I", "verify.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "ok     model.2tp" in run.stdout
    assert "FAILED model.json       outputs differ by" in run.stdout
    export_network(source, folder, [], None, force=True)  # it knows the files of formats as its own
    assert not (folder / "model.2tp").exists()


def test_an_output_outside_the_tolerance_of_the_row_is_refused(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bsconv_nas.export.folder.verify", check_here)
    exact = Format("guess", "model.json", "A guess", (), write_guess, load_guess, "pass")
    with pytest.raises(BsconvNasError, match=r"model.json: outputs differ by .*, more than 0.0001; nothing"):
        export_network(source, tmp_path / "net", [exact], None)


def test_a_file_of_an_unknown_format_is_said_to_be_unchecked(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bsconv_nas.export.folder.verify", check_here)
    folder = tmp_path / "net"
    export_network(source, folder, [GUESS], None)
    (folder / "verify.py").write_text(program_for([]))
    [_, _, row] = check_here(folder)
    assert row["problems"] == ["cannot be checked: this program has no function that loads it"]


def test_loaders_can_be_copied_into_one_program() -> None:
    rows = list(FORMATS.values())
    assert len({row.load for row in rows}) == len({row.load.__name__ for row in rows})
    assert len({row.file for row in rows}) == len(rows)
    for row in rows:
        assert inspect.getsource(row.load).startswith("def ")
    compile(program_for(rows), "verify.py", "exec")


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_documented(name: str) -> None:
    assert f"`{FORMATS[name].file}`" in (Path(__file__).parents[2] / "docs/export.md").read_text()


def test_an_export_of_an_earlier_release_verifies(tmp_path: Path) -> None:
    """Its model.py knows layer types, and its verify.py a fixed list of formats."""
    folder = tmp_path / "net"
    shutil.copytree(EARLIER, folder)
    rows = verify(folder)
    assert [row["file"] for row in rows] == ["costs", "model.py", "model.onnx"]
    assert not any(row["problems"] for row in [*rows, *check_here(folder)])
    arch = json.loads((folder / "arch.json").read_text())
    arch["blocks"][0]["layers"][0]["out_channels"] += 8
    (folder / "arch.json").write_text(json.dumps(arch))
    assert "arch.json is not the architecture of model.py" in check_here(folder)[0]["problems"]


def test_weights_of_an_earlier_release_are_exported_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bsconv_nas.export.folder.verify", check_here)
    arch = ArchSpec.from_dict(json.loads((EARLIER / "arch.json").read_text()))
    network = build(arch)
    load_weights(EARLIER / "model.safetensors", network)
    source = Source("net", network, arch, None, arch.image_size, tuple("0123456789"), None, None)
    export_network(source, tmp_path / "net", [], None)
    images = torch.rand(2, 3, 32, 32)
    before, now = (load_module(folder / "model.py").load() for folder in (EARLIER, tmp_path / "net"))
    with torch.no_grad():
        assert torch.equal(before(images), now(images))

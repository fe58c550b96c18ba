"""Exports of every format equal the network, prove it in a fresh process, and are whole or absent."""

import importlib.util
import json
import os
import random
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bsconv_nas.data import ImageData, load_search_data
from bsconv_nas.errors import BsconvNasError, UsageError
from bsconv_nas.export import Exported, Source, export_network, verify
from bsconv_nas.export.formats import FORMATS, Format, find_formats
from bsconv_nas.export.verify import cost_problems, read_manifest
from bsconv_nas.export.verify_program import load_module
from bsconv_nas.models import get_model, known_models, model_costs
from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.networks.cost import cost_of
from bsconv_nas.nn.build import build
from bsconv_nas.spaces.files import find_space
from bsconv_nas.spaces.networks import ArchSpace
from tests.exports import check_here
from tests.networks import settled

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="needs the packages of the extra `export`",
)


def smallest_of_each_family() -> list[str]:
    """Reference networks of few MACs, one for each backbone with each kind of convolution."""
    names = sorted(known_models(), key=lambda name: (model_costs()[name].macs, name), reverse=True)
    backbones = {name: re.sub(r"resnet\d+", "resnet", re.sub(r"wrn\d+_\d+", "wrn", name)) for name in names}
    return sorted({re.sub(r"_[wp]\d+(d\d+)?", "", backbones[name]): name for name in names}.values())


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_search_data("digits")


def source_of(arch: ArchSpec) -> Source:
    network = settled(build(arch, seed=0), (8, arch.in_channels, *arch.image_size), passes=4)
    classes = tuple(map(str, range(arch.num_classes)))
    return Source(arch.arch_id, network, arch, None, arch.image_size, classes, "digits", None)


def reference_source(name: str, size: tuple[int, int]) -> Source:
    network = settled(get_model(name, 10), (8, 3, *size), passes=2)
    return Source(name, network, None, name, size, tuple("0123456789"), "digits", None)


def random_arch(space: str, seed: int, size: tuple[int, int]) -> ArchSpec:
    networks = ArchSpace(find_space(space), size, 10)
    rng = random.Random(seed)
    return networks.decode(tuple(rng.choice(gene.choices) for gene in networks.genes))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks in this process: starting another takes seconds."""
    monkeypatch.setattr("bsconv_nas.export.folder.verify", check_here)


def assert_equal(exported: Exported, folder: Path, formats: set[str]) -> None:
    assert {row["file"] for row in exported.findings} == {"costs", "model.py", *(FORMATS[f].file for f in formats)}
    for row in exported.findings:
        assert row["problems"] == []
        assert "skipped" not in row
        if row["file"] not in ("costs", "model-int8.onnx"):
            assert row["difference"] <= 1e-4
    assert not list(folder.parent.glob(".*"))


@pytest.mark.long  # by default docs/export.md's commands do the same
def test_a_network_of_the_space_in_all_formats(digits: ImageData, tmp_path: Path) -> None:
    arch = random_arch("quick", 3, (8, 8))
    exported = export_network(source_of(arch), tmp_path / "net", find_formats(None), digits)
    written = {name for name, row in FORMATS.items() if not row.missing()}
    assert written >= {"pt2", "onnx", "int8"}
    assert set(exported.skipped) == set(FORMATS) - written
    assert_equal(exported, tmp_path / "net", written)
    manifest = json.loads((tmp_path / "net/export.json").read_text())
    assert (manifest["macs"], manifest["params"]) == (cost_of(arch).macs, cost_of(arch).params)
    measured = manifest["forms"]["model-int8.onnx"]["measured"]
    assert 0 <= measured["top1"] <= 1
    assert measured["images"] == 144  # 287 validation images, of which half were calibrated on
    card = (tmp_path / "net/MODEL_CARD.md").read_text()
    assert f"| {cost_of(arch).macs:,} |" in card
    assert "not calibrated on, model-int8.onnx" in card


@pytest.mark.usefixtures("here")
def test_a_reference_network(tmp_path: Path) -> None:
    source = reference_source("cifar_mobilenetv1_w1d4_bsconvu", (16, 16))
    exported = export_network(source, tmp_path / "net", find_formats("pt2,onnx"), None)
    assert_equal(exported, tmp_path / "net", {"pt2", "onnx"})
    assert not [
        file.name for file in (tmp_path / "net").iterdir() if os.fsencode(Path(torch.__file__).parent) in contents(file)
    ]


def contents(file: Path) -> bytes:
    """What is in a file; in an archive, in all of its members."""
    if not zipfile.is_zipfile(file):
        return file.read_bytes() if file.is_file() else b""
    with zipfile.ZipFile(file) as archive:
        return b"".join(archive.read(name) for name in archive.namelist())


def assert_forms_equal(source: Source, folder: Path) -> None:
    assert_equal(export_network(source, folder, find_formats("pt2,onnx"), None), folder, {"pt2", "onnx"})


@pytest.mark.long
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("space", "size"), [("quick", (8, 8)), ("cifar", (32, 32)), ("mobile", (96, 96))])
@pytest.mark.parametrize("seed", range(20))
def test_random_networks_of_every_space(space: str, size: tuple[int, int], seed: int, tmp_path: Path) -> None:
    exported = export_network(
        source_of(random_arch(space, seed, size)), tmp_path / "net", find_formats("pt2,onnx"), None
    )
    assert_equal(exported, tmp_path / "net", {"pt2", "onnx"})


@pytest.mark.long
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", smallest_of_each_family())
def test_families_of_reference_networks(name: str, tmp_path: Path) -> None:
    size = (32, 32) if name.startswith("cifar_") else (96, 96)
    assert_forms_equal(reference_source(name, size), tmp_path / "net")


# What verify finds


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export in torch.export's format; only to be read."""
    folder = tmp_path_factory.mktemp("export") / "net"
    export_network(source_of(random_arch("quick", 5, (8, 8))), folder, find_formats("pt2"), None)
    return folder


@pytest.fixture
def copied(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "net"))


def test_whatever_differs_is_found_by_the_program_in_the_folder(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    weights["classifier.bias"] += 0.01
    save_file(weights, copied / "model.safetensors")
    arch = json.loads((copied / "arch.json").read_text())
    arch["blocks"][0]["layers"][0]["out_channels"] += 8
    (copied / "arch.json").write_text(json.dumps(arch))
    program = copied / "model.pt2"
    program.write_bytes(program.read_bytes()[:1000])
    done = subprocess.run([sys.executable, "-I", "verify.py"], cwd=copied, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert re.search(r"FAILED +costs +arch.json is not the architecture of model.py", done.stdout)
    assert re.search(r"FAILED +model.py +outputs differ by", done.stdout)
    assert re.search(r"FAILED +model.pt2 +does not run", done.stdout)
    assert "macs of arch.json is" in cost_problems(copied, read_manifest(copied))[0]


def test_a_wrong_accuracy_is_found(plain: Path, digits: ImageData) -> None:
    test = {"images": torch.tensor(digits.val_images), "labels": torch.tensor(digits.val_labels)}
    promise = {"tolerance": 1e-4, "top1_tolerance": 0.005, "test_top1": None}
    program = load_module(plain / "verify.py")
    row = program.check_form("model.pt2", promise, plain, test)
    assert row["problems"] == []
    promise["test_top1"] = row["test_top1"] + 0.02
    assert "test top-1 is" in program.check_form("model.pt2", promise, plain, test)["problems"][0]


# What cannot be


@pytest.mark.usefixtures("here")
def test_a_wrong_export_is_refused_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def another(network: torch.nn.Module) -> torch.nn.Module:
        return settled(build(random_arch("quick", 6, (8, 8)), seed=1), (8, 3, 8, 8), passes=1)

    monkeypatch.setattr("bsconv_nas.export.folder.folded", another)
    with pytest.raises(BsconvNasError, match=r"model.pt2: outputs differ by .*; nothing was written"):
        export_network(source_of(random_arch("quick", 5, (8, 8))), tmp_path / "net", find_formats("pt2"), None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("here")
def test_missing_packages_and_images_are_named_and_the_others_written(tmp_path: Path) -> None:
    missing = replace(FORMATS["onnx"], name="other", packages=("onnx", "no_such_package"))
    rows: list[Format] = [FORMATS["pt2"], missing, FORMATS["int8"]]
    exported = export_network(source_of(random_arch("quick", 5, (8, 8))), tmp_path / "net", rows, None)
    assert exported.skipped["other"] == "needs no_such_package; install: pip install no_such_package"
    assert "give them by --data" in exported.skipped["int8"]
    assert (tmp_path / "net/model.pt2").is_file()
    assert not (tmp_path / "net/model.onnx").exists()


@pytest.mark.usefixtures("here")
def test_force_replaces_an_export_and_nothing_else(plain: Path, copied: Path) -> None:
    source = source_of(random_arch("quick", 7, (8, 8)))
    with pytest.raises(UsageError, match="--force"):
        export_network(source, copied, [], None)
    (copied / "precious.txt").touch()
    with pytest.raises(UsageError, match=r"is no earlier export: it holds 'precious.txt'"):
        export_network(source, copied, [], None, force=True)
    (copied / "precious.txt").unlink()
    export_network(source, copied, [], None, force=True)
    assert not (copied / "model.pt2").exists()
    assert (copied / "arch.json").read_text() != (plain / "arch.json").read_text()


def test_unknown_formats_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'onnx'"):
        find_formats("onx")
    assert find_formats("torch") == []
    with pytest.raises(UsageError, match="no exported network"):
        verify(tmp_path)

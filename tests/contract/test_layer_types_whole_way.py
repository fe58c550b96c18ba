"""Every layer type, and one that the package does not have, from a space file to an export that was verified."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from bsconv_nas.errors import UsageError
from bsconv_nas.export.model_py import model_py
from bsconv_nas.export.verify_program import load_module
from bsconv_nas.networks.arch import ArchSpec, BlockSpec, HeadSpec, LayerSpec, StemSpec
from bsconv_nas.networks.layer_types import LAYER_TYPES
from bsconv_nas.networks.traits import part_of
from bsconv_nas.nn.build import Network, build
from bsconv_nas.study.locate import load_study
from bsconv_nas.train.checkpoint import load_weights
from tests.commands import run_command
from tests.exports import check_here
from tests.layer_types import NAME, ROW
from tests.networks import settled

TYPES = [*LAYER_TYPES, NAME]
SPACE = """
schema_version = 1
name = "tiny"
title = "Four small networks of one layer type"
image_size = [8, 8]
stem = {{ out_channels = [8] }}
layers = {{ conv = ["{label}"], kernel_size = [3], inner_bn = true }}
network = {{ se = [true], shortcut = ["none", "layer"] }}
stages = [{{ stride = 1, depth = [1], width = [8] }}, {{ stride = 2, depth = [1], width = [8, 16] }}]
"""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LAYER_TYPES, NAME, ROW)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [])
    yield tmp_path
    shutil.rmtree(tmp_path)


def networks(kind: str) -> Iterator[Network]:
    """Networks with everything that a specification can say of a layer of one type."""
    p = 1 / 4 if LAYER_TYPES[kind].takes_p else None
    for activation, inner_bn, head in (("relu", False, HeadSpec()), ("hardswish", True, HeadSpec(24, "silu"))):
        first = LayerSpec(kind, 16, 5, 2, p, inner_bn, se=True, activation=activation)
        second = LayerSpec(kind, 16, 3, 1, p, inner_bn, activation=activation)
        blocks = (
            BlockSpec((first,)),
            BlockSpec((second, second), "identity"),
            BlockSpec((first, second), "projection"),
        )
        yield build(ArchSpec((12, 12), 5, StemSpec(6, activation=activation), blocks, head), seed=0)


@pytest.mark.parametrize("kind", TYPES)
def test_model_py_rebuilds_the_network(kind: str, tmp_path: Path) -> None:
    for network in networks(kind):
        settled(network, (8, 3, 12, 12), passes=2)
        (tmp_path / "model.py").write_text(model_py(network))
        rebuilt = load_module(tmp_path / "model.py").build()
        rebuilt.load_state_dict(network.state_dict())
        images = torch.rand(2, 3, 12, 12)
        with torch.no_grad():
            assert torch.equal(rebuilt.eval()(images), network(images))
        assert network.arch.arch_id in (tmp_path / "model.py").read_text()


def test_model_py_is_short_and_readable() -> None:
    source = model_py(next(networks("S")))
    lines = source.splitlines()
    assert len(lines) < 160
    assert max(map(len, lines)) < 140
    assert "bsconv_nas" not in source
    assert '"S-1/4", "convs": {"pw1": (16, 4), "pw2": (4, 16), "dw": (16, 16, 3, 1, 16)}' in source


def test_a_layer_with_more_than_its_row_says_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network = next(networks("U"))
    monkeypatch.setitem(network.get_submodule("blocks.0.layers.0.conv")._modules, "extra", nn.ReLU())
    with pytest.raises(UsageError, match="layer type 'U' has a ReLU named 'extra'"):
        model_py(network)


def test_the_middle_of_a_layer_is_where_its_channels_are_a_share_of_the_inputs() -> None:
    layers = (BlockSpec((LayerSpec(kind, 32, p=1 / 8),)) for kind in ("S", NAME))
    assert [part_of([layer], 64).middles for layer in layers] == [(8,), (8,)]


@pytest.mark.parametrize("kind", TYPES)
def test_from_a_space_file_to_a_verified_export(
    kind: str, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bsconv_nas.export.folder.verify", check_here)  # the command `verify` starts a process below
    label = f"{kind}-1/2" if LAYER_TYPES[kind].takes_p else kind
    Path("tiny.toml").write_text(SPACE.format(label=label))
    search = ["search", "--space", "tiny.toml", "--data", "digits", "--trials", "2", "--epochs", "1", "--workers", "0"]
    assert run_command([*search, "--study", "tiny"]) == 0
    capsys.readouterr()

    assert run_command(["front", "tiny", "--json"]) == 0
    front = json.loads(capsys.readouterr().out)
    assert label in json.dumps(front[-1])
    assert run_command(["report", "tiny", "--single-file", "page.html"]) == 0
    assert label in Path("page.html").read_text()
    assert run_command(["export", "tiny", "--to", "network", "--format", "pt2"]) == 0
    capsys.readouterr()
    assert run_command(["verify", "network", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["file"], row["problems"]) for row in rows] == [("costs", []), ("model.py", []), ("model.pt2", [])]
    assert_same_logits()


def assert_same_logits() -> None:
    """The best network of the study with its weights computes what model.py of the export does."""
    study = load_study("tiny")
    record = study.front()[-1]
    arch, weights = record.arch_spec(), study.weights_path(record.number)
    assert arch is not None and weights is not None  # noqa: PT018
    network = build(arch)
    load_weights(weights, network)
    images = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        expected = network.eval()(images)
        assert torch.equal(load_module(Path("network/model.py")).load()(images), expected)

"""Exports run in an environment that has torch, safetensors and onnxruntime, and nothing of this package."""

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bsconv_nas.data import load_search_data
from bsconv_nas.export import Source, export_network
from bsconv_nas.export.formats import FORMATS, find_formats
from tests.integration.test_export import random_arch, reference_source, source_of

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
        reason="needs the packages of the extra `export`",
    ),
]
PACKAGES = ("torch", "numpy", "safetensors", "onnxruntime")
RUN_CARD = """
import json, pathlib, re, sys, torch
from safetensors.torch import load_file
from verify import as_images
saved = load_file("check.safetensors")
for program in re.findall(r"```python\\n(.*?)```", pathlib.Path("MODEL_CARD.md").read_text(), re.DOTALL):
    images = as_images(saved["images"])
    names = {"images": images.numpy() if "onnxruntime" in program else images}
    exec(program, names)
    logits = torch.as_tensor(names["logits"])
    apart = (logits - saved["logits"][: len(logits)]).abs().max()
    print(json.dumps([program.count("\\n"), float(apart / saved["logits"].abs().max().clamp(min=1))]))
"""


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The python of such an environment: BSCONV_NAS_BARE_PYTHON, or a new one by pip (minutes, and gigabytes)."""
    given = os.environ.get("BSCONV_NAS_BARE_PYTHON")
    if given:
        return given
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    wanted = [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in PACKAGES]
    python = str(folder / "bin/python")
    done = subprocess.run([python, "-m", "pip", "install", "-q", *wanted], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"pip cannot install {', '.join(wanted)}: {done.stderr.strip().splitlines()[-1]}")
    return python


def run_bare(python: str, arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [python, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_it_has_nothing_of_this_package(bare_python: str, tmp_path: Path) -> None:
    for name in ("bsconv_nas", "optuna", "torchvision", "onnx"):
        assert "ModuleNotFoundError" in run_bare(bare_python, ["-c", f"import {name}"], tmp_path).stderr


@pytest.mark.parametrize("kind", ["searched", "reference"])
def test_every_form_runs_and_the_card_is_right(bare_python: str, kind: str, tmp_path: Path) -> None:
    digits = load_search_data("digits")
    source: Source = source_of(random_arch("quick", 3, (8, 8)))
    if kind == "reference":
        source = reference_source("cifar_mobilenetv2_w1d4", (8, 8))
    folder = tmp_path / "net"
    exported = export_network(source, folder, find_formats("pt2,onnx,int8"), digits)
    assert set(exported.skipped) == set()
    done = run_bare(bare_python, ["verify.py"], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["ok", file] for file in ("costs", "model.py", *(FORMATS[name].file for name in ("pt2", "onnx", "int8")))
    ]
    assert not re.search("not checked", done.stdout)
    card = run_bare(bare_python, ["-c", RUN_CARD], folder)
    assert card.returncode == 0, card.stderr
    found = [tuple(float(value) for value in re.findall(r"[\d.e-]+", line)) for line in card.stdout.splitlines()]
    assert len(found) == 4
    assert all(lines <= 3 for lines, _ in found)
    assert all(apart <= 1e-4 for _, apart in found[:3])
    assert found[3][1] <= 0.5  # 8 bits

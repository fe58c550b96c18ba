"""The proof of an export: a fresh process without this package computes the same outputs."""

import json
import subprocess
import sys
from pathlib import Path

import torch

from bsconv_nas.arch import ArchSpec
from bsconv_nas.cost import cost_of
from bsconv_nas.errors import BsconvNasError
from bsconv_nas.network import build
from bsconv_nas.train.checkpoint import load_weights

TOLERANCE = 1e-4

# Runs with only the exported folder on its path; an import of this package fails.
_PROGRAM = """
import json, sys
sys.modules["bsconv_nas"] = None
sys.path.insert(0, sys.argv[1])
import torch
from torch.utils.flop_counter import FlopCounterMode
from model import load
network = load()
images = torch.rand(json.loads(sys.argv[2]), generator=torch.Generator().manual_seed(0))
with FlopCounterMode(display=False) as counter, torch.inference_mode():
    logits = network(images)
print(json.dumps({
    "logits": logits.double().tolist(),
    "macs": counter.get_total_flops() // 2 // len(images),
    "params": sum(p.numel() for p in network.parameters()),
}))
"""


def check_export(arch: ArchSpec, weights: Path, folder: Path) -> None:
    """Compare outputs (to 1e-4, absolute or relative), MACs and parameters of an exported folder with the network.

    Raises:
        BsconvNasError: they differ, or the exported file does not run.
    """
    shape = [2, arch.in_channels, *arch.image_size]
    found = _run(folder, shape)
    network = build(arch).eval()
    load_weights(weights, network)
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(images).double()
    cost = cost_of(arch)
    if (found["macs"], found["params"]) != (cost.macs, cost.params):
        raise BsconvNasError(f"the export has {found['macs']} MACs and {found['params']} parameters, not {cost}")
    if not torch.allclose(torch.tensor(found["logits"]).double(), expected, rtol=TOLERANCE, atol=TOLERANCE):
        raise BsconvNasError(f"the outputs of the export differ by more than {TOLERANCE}; nothing was written")


def _run(folder: Path, shape: list[int]) -> dict[str, object]:
    command = [sys.executable, "-c", _PROGRAM, str(folder), json.dumps(shape)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BsconvNasError(f"the exported model.py does not run: {reason}; nothing was written")
    return json.loads(done.stdout.splitlines()[-1])

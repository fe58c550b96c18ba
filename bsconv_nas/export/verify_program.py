"""Checks the exported network in this folder; needs torch and safetensors, and onnxruntime for the ONNX files.

    python verify.py                  # runs every form on the images of check.safetensors and compares
    python verify.py --test test.npz  # also its accuracy: arrays `images` uint8 (N, H, W, C) and `labels`

Exits with 1 when anything differs from what export.json and arch.json say. `--json` prints the findings as JSON.
"""

import argparse
import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

Form = Callable[[Tensor], Tensor]
_BATCH = 256


def load_torch(path: Path) -> Form:
    return load_module(path).load()


def load_module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("model", path)
    assert spec is not None and spec.loader is not None, "the file exists"  # noqa: PT018
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(module)
    return module


LOADERS: dict[str, Callable[[Path], Form]] = {"model.py": load_torch}


def as_images(pixels: Tensor) -> Tensor:
    """uint8 (N, H, W, C) to float32 (N, C, H, W) in [0, 1]."""
    return pixels.permute(0, 3, 1, 2).contiguous().float() / 255


def accuracy(form: Form, pixels: Tensor, labels: Tensor) -> float:
    correct = 0
    for start in range(0, len(pixels), _BATCH):
        logits = form(as_images(pixels[start : start + _BATCH]))
        correct += int((logits.argmax(1) == labels[start : start + _BATCH]).sum())
    return correct / len(pixels)


def difference(output: Tensor, expected: Tensor) -> float:
    """Largest difference of two outputs, relative to the largest output where that is above 1."""
    if output.shape != expected.shape:
        return float("inf")
    return float((output - expected).abs().max() / expected.abs().max().clamp(min=1))


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no message"])[0]


def check_form(file: str, facts: dict[str, Any], folder: Path, test: dict[str, Tensor] | None) -> dict[str, Any]:
    """The largest difference of one file's outputs, its accuracy, and `problems` in words."""
    saved = load_file(folder / "check.safetensors")
    expected = saved.get(f"logits.{file}", saved["logits"])
    images, tolerance = as_images(saved["images"]), facts["tolerance"]
    if file not in LOADERS:
        return {"file": file, "problems": ["cannot be checked: this program has no function that loads it"]}
    try:
        form = LOADERS[file](folder / file)
        with torch.no_grad():
            apart = max(difference(form(images), expected), difference(form(images[:1]), expected[:1]))
            top1 = accuracy(form, test["images"], test["labels"]) if test is not None else None
    except ImportError as error:
        return {"file": file, "skipped": f"needs {error.name}", "problems": []}
    except Exception as error:  # noqa: BLE001  # a damaged file can make a library raise anything
        return {"file": file, "problems": [f"does not run: {type(error).__name__}: {first_line(error)}"]}
    problems = []
    if not apart <= tolerance:
        problems.append(f"outputs differ by {apart:.2g}, more than {tolerance:g}")
    promised = facts.get("test_top1")
    if top1 is not None and promised is not None and abs(top1 - promised) > facts["top1_tolerance"]:
        problems.append(f"test top-1 is {100 * top1:.2f} %, not {100 * promised:.2f} %")
    return {"file": file, "difference": apart, "tolerance": tolerance, "test_top1": top1, "problems": problems}


def check_costs(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """MACs and parameters of model.py as counted, against those written down; its architecture against arch.json."""
    from torch.utils.flop_counter import FlopCounterMode

    try:
        module = load_module(folder / "model.py")
        network = module.load()
        images = as_images(load_file(folder / "check.safetensors")["images"][:1])
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(images)
        arch = json.loads((folder / "arch.json").read_text())
    except Exception as error:  # noqa: BLE001
        return {"file": "costs", "problems": [f"cannot be counted: {type(error).__name__}: {first_line(error)}"]}
    counted = {
        "macs": counter.get_total_flops() // 2,
        "params": sum(parameter.numel() for parameter in network.parameters()),
    }
    problems = [f"{key} is {counted[key]}, not {manifest[key]}" for key in counted if counted[key] != manifest[key]]
    if not is_network_of(module, arch):
        problems.append("arch.json is not the architecture of model.py")
    return {"file": "costs", **counted, "problems": problems}


def is_network_of(module: Any, arch: dict[str, Any]) -> bool:
    """Whether model.py is the network of `arch`, the content of arch.json.

    model.py has the hash of `arch`; files of earlier releases have `arch` itself. That of a reference network has
    neither, because its arch.json is only a name.
    """
    if hasattr(module, "ARCH_ID"):
        text = json.dumps(arch, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12] == module.ARCH_ID
    return getattr(module, "ARCH", arch) == arch


def check_folder(folder: Path, test: dict[str, Tensor] | None) -> list[dict[str, Any]]:
    manifest = json.loads((folder / "export.json").read_text())
    forms = [check_form(file, facts, folder, test) for file, facts in manifest["forms"].items()]
    return [check_costs(folder, manifest), *forms]


def in_words(row: dict[str, Any]) -> str:
    if row["problems"]:
        return "; ".join(row["problems"])
    if "skipped" in row:
        return f"not checked, {row['skipped']}"
    if row["file"] == "costs":
        return f"{row['macs']:,} MACs and {row['params']:,} parameters, as written"
    top1 = "" if row["test_top1"] is None else f", test top-1 {100 * row['test_top1']:.2f} %"
    return f"outputs within {row['difference']:.1e} (allowed {row['tolerance']:g}){top1}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sys.modules["bsconv_nas"] = None  # type: ignore[assignment]  # an import of the tool that wrote this folder fails
    torch.set_num_threads(1)
    test = None
    if options.test is not None:
        arrays = np.load(options.test)
        test = {name: torch.from_numpy(arrays[name]) for name in ("images", "labels")}
    rows = check_folder(options.folder, test)
    if options.json:
        print(json.dumps(rows))
    else:
        for row in rows:
            print(f"{'FAILED' if row['problems'] else 'ok':<7}{row['file']:<16} {in_words(row)}")
    return int(any(row["problems"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())

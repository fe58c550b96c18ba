"""The formats of an export, one row each.

To add one, write the function that writes its file here, the one that loads the file in `loaders.py`, and its row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from bsconv_nas.base.text import did_you_mean
from bsconv_nas.errors import UsageError
from bsconv_nas.export.loaders import load_executorch, load_onnx, load_program
from bsconv_nas.export.verify_program import Form

TOLERANCE = 1e-4  # outputs may differ by rounding
_INT8_TOLERANCE = 0.1  # processors round 8-bit sums differently


@dataclass(frozen=True, slots=True)
class Inference:
    """What formats are written from: the folded network, its program for batches of any size, calibration images.

    `images` are float32 (N, C, H, W) in [0, 1] to calibrate on; None where the data is not at hand.
    """

    network: nn.Module
    program: ExportedProgram
    images: Tensor | None
    example: Tensor


@dataclass(frozen=True, slots=True)
class Format:
    """A row of `FORMATS`.

    Args:
        name: what `--format` calls it.
        file: name of the file in the exported folder.
        meaning: what the file is, for the card and the terminal.
        packages: names of the packages that write and run it, as they are imported.
        write: writes the file.
        load: loads the file to check it; see `loaders`.
        loading: program that users load it with, for the card.
        tolerance: largest difference of outputs that the check allows, relative to the largest output if above 1.
        approximate: whether the file is meant to compute something else than the network, such as 8-bit arithmetic.
            Its outputs are then compared with those that it gave when it was written, and its accuracy is measured.
    """

    name: str
    file: str
    meaning: str
    packages: tuple[str, ...]
    write: Callable[[Inference, Path], None]
    load: Callable[[Path], Form]
    loading: str
    tolerance: float = TOLERANCE
    approximate: bool = False

    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [package for package in self.packages if find_spec(package) is None]


class MissingImagesError(Exception):
    """Raised by a format that is calibrated on images of the data, when there are none at hand."""


def inference(network: nn.Module, example: Tensor, images: Tensor | None) -> Inference:
    """Prepare a folded network for the formats; `example` has the shape of its input, at least two images."""
    shapes = ({0: Dim("batch", min=1)},)
    with torch.no_grad():
        program = torch.export.export(network, (example,), dynamic_shapes=shapes)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it has paths of this machine
    return Inference(network, program, images, example)


def find_formats(text: str | None) -> list[Format]:
    """Rows of `FORMATS` by a list of names such as "onnx,pt2"; all for None.

    Raises:
        UsageError: an unknown name.
    """
    if text is None:
        return list(FORMATS.values())
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in FORMATS and name != "torch":
            raise UsageError(f"unknown format {name!r}; {did_you_mean(name, ['torch', *FORMATS])}")
    return [row for name, row in FORMATS.items() if name in names]


def _write_program(prepared: Inference, path: Path) -> None:
    torch.export.save(prepared.program, path)


def _write_onnx(prepared: Inference, path: Path) -> None:
    program: Any = torch.onnx.export(
        prepared.program, dynamo=True, verbose=False, input_names=["images"], output_names=["logits"]
    )
    program.save(path, external_data=False)


def _write_int8(prepared: Inference, path: Path) -> None:
    from bsconv_nas.export.int8 import quantise

    if prepared.images is None:
        raise MissingImagesError
    floating = path.with_name(FORMATS["onnx"].file)
    if floating.exists():  # written before, because the row of onnx comes first
        quantise(floating, path, prepared.images)
        return
    _write_onnx(prepared, floating)
    quantise(floating, path, prepared.images)
    floating.unlink()


def _write_executorch(prepared: Inference, path: Path) -> None:
    from executorch.backends.xnnpack.partition import xnnpack_partitioner  # pyright: ignore[reportMissingImports]
    from executorch.exir import to_edge_transform_and_lower  # pyright: ignore[reportMissingImports]

    with torch.no_grad():  # one image: the program's memory is planned for fixed sizes
        program = torch.export.export(prepared.network, (prepared.example[:1],))
    # 29 times as fast as ExecuTorch's portable kernels (cifar space, 32 px, one x86 core).
    kernels = [xnnpack_partitioner.XnnpackPartitioner()]
    path.write_bytes(to_edge_transform_and_lower(program, partitioner=kernels).to_executorch().buffer)


def _onnx_program(file: str) -> str:
    """A program that runs an ONNX file; `images` is a numpy array there."""
    session = f'session = onnxruntime.InferenceSession("{file}")'
    return f'import onnxruntime\n{session}\n(logits,) = session.run(None, {{"images": images}})'


FORMATS: dict[str, Format] = {
    "pt2": Format(
        "pt2",
        "model.pt2",
        "torch.export program, any batch",
        (),
        _write_program,
        load_program,
        'import torch\nnetwork = torch.export.load("model.pt2").module()\nlogits = network(images)',
    ),
    "onnx": Format(
        "onnx",
        "model.onnx",
        "ONNX, any batch",
        ("onnx", "onnxscript", "onnxruntime"),
        _write_onnx,
        load_onnx,
        _onnx_program("model.onnx"),
    ),
    "int8": Format(
        "int8",
        "model-int8.onnx",
        "ONNX with 8-bit weights and activations",
        ("onnx", "onnxscript", "onnxruntime"),
        _write_int8,
        load_onnx,
        _onnx_program("model-int8.onnx"),
        tolerance=_INT8_TOLERANCE,
        approximate=True,
    ),
    "executorch": Format(
        "executorch",
        "model.pte",
        "ExecuTorch program for XNNPACK, one image at a time",
        ("executorch",),
        _write_executorch,
        load_executorch,
        "from executorch.runtime import Runtime\n"
        'method = Runtime.get().load_program("model.pte").load_method("forward")\n'
        "logits = method.execute([images[:1]])[0]",
    ),
}

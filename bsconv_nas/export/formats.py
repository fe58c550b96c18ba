"""The formats of an export, one row each: to add one, write its function and its row."""

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

TOLERANCE = 1e-4  # of outputs against the network, relative to the largest output where that is above 1


@dataclass(frozen=True, slots=True)
class Inference:
    """What the formats are made of: the folded network, its program for batches of any size, calibration images.

    `images` are float32 (N, C, H, W) in [0, 1] to calibrate on; None where the data is not at hand.
    """

    network: nn.Module
    program: ExportedProgram
    images: Tensor | None
    example: Tensor


@dataclass(frozen=True, slots=True)
class Format:
    """A row of `FORMATS`: the file, what it is, the packages that write it, and the function that does."""

    name: str
    file: str
    meaning: str
    packages: tuple[str, ...]
    write: Callable[[Inference, Path], None]
    loading: str
    needs_images: bool = False

    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [package for package in self.packages if find_spec(package) is None]


class MissingImagesError(Exception):
    """A format that has to see images of the data, which are not at hand."""


def inference(network: nn.Module, example: Tensor, images: Tensor | None) -> Inference:
    """Prepare a folded network for the formats; `example` has the shape of its input, at least two images."""
    shapes = ({0: Dim("batch", min=1)},)
    with torch.no_grad():
        program = torch.export.export(network, (example,), dynamic_shapes=shapes)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # the folders of this machine, which are nobody's business
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


def _write_program(given: Inference, path: Path) -> None:
    torch.export.save(given.program, path)


def _write_onnx(given: Inference, path: Path) -> None:
    program: Any = torch.onnx.export(
        given.program, dynamo=True, verbose=False, input_names=["images"], output_names=["logits"]
    )
    program.save(path, external_data=False)


def _write_int8(given: Inference, path: Path) -> None:
    from bsconv_nas.export.int8 import quantise

    if given.images is None:
        raise MissingImagesError
    floating = path.with_name(FORMATS["onnx"].file)
    if floating.exists():  # its row comes first
        quantise(floating, path, given.images)
        return
    _write_onnx(given, floating)
    quantise(floating, path, given.images)
    floating.unlink()


def _write_executorch(given: Inference, path: Path) -> None:
    from executorch.backends.xnnpack.partition import xnnpack_partitioner  # pyright: ignore[reportMissingImports]
    from executorch.exir import to_edge_transform_and_lower  # pyright: ignore[reportMissingImports]

    with torch.no_grad():
        program = torch.export.export(given.network, (given.example[:1],))  # its memory is planned for fixed sizes
    # 29 times as fast as ExecuTorch's portable kernels (cifar space, 32 px, one x86 core).
    kernels = [xnnpack_partitioner.XnnpackPartitioner()]
    path.write_bytes(to_edge_transform_and_lower(program, partitioner=kernels).to_executorch().buffer)


def _load_onnx(file: str) -> str:
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
        'import torch\nnetwork = torch.export.load("model.pt2").module()\nlogits = network(images)',
    ),
    "onnx": Format(
        "onnx",
        "model.onnx",
        "ONNX, any batch",
        ("onnx", "onnxscript", "onnxruntime"),
        _write_onnx,
        _load_onnx("model.onnx"),
    ),
    "int8": Format(
        "int8",
        "model-int8.onnx",
        "ONNX with 8-bit weights and activations",
        ("onnx", "onnxscript", "onnxruntime"),
        _write_int8,
        _load_onnx("model-int8.onnx"),
        needs_images=True,
    ),
    "executorch": Format(
        "executorch",
        "model.pte",
        "ExecuTorch program for XNNPACK, one image at a time",
        ("executorch",),
        _write_executorch,
        "from executorch.runtime import Runtime\n"
        'method = Runtime.get().load_program("model.pte").load_method("forward")\n'
        "logits = method.execute([images[:1]])[0]",
    ),
}

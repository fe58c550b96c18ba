"""How long networks take on this machine: medians after a warm-up, in turns, so that all see the same noise."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Literal

import torch
from torch import nn

from bsconv_nas.errors import UsageError
from bsconv_nas.export.fold import folded
from bsconv_nas.export.formats import FORMATS, inference
from bsconv_nas.export.verify_program import load_module

Backend = Literal["torch", "onnxruntime"]
_WARM_UP_SECONDS = 0.3
ROUNDS = 5
_LEAST_RUNS = 5


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds for one batch: the median and the quartiles of `runs` runs."""

    median_ms: float
    low_ms: float
    high_ms: float
    runs: int


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured: images per batch, threads, and what runs the network."""

    batch: int = 1
    threads: int = 1
    backend: Backend = "torch"

    def __post_init__(self) -> None:
        if self.batch < 1 or self.threads < 1:
            raise UsageError(f"batch is {self.batch} and threads {self.threads}; allowed: at least 1")


def runner(network: nn.Module, size: tuple[int, int, int], setting: Setting) -> Callable[[], object]:
    """A call that runs a network once on a batch of images of `size` (C, H, W).

    The network is folded first, as exports are.

    Raises:
        UsageError: onnxruntime is asked for, but what it needs is not installed.
    """
    images = torch.rand(setting.batch, *size, generator=torch.Generator().manual_seed(0))
    compact = folded(network)
    if setting.backend == "torch":
        torch.set_num_threads(setting.threads)
        return _torch_runner(compact, images)
    missing = FORMATS["onnx"].missing()
    if missing:
        raise UsageError(f"--backend onnxruntime needs {', '.join(missing)}; install: pip install {' '.join(missing)}")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.onnx"
        FORMATS["onnx"].write(inference(compact, torch.rand(2, *size), None), path)
        return onnx_runner(path, images, setting)


def folder_runner(folder: Path, size: tuple[int, int, int], setting: Setting) -> Callable[[], object]:
    """A call that runs an exported network once: model.onnx as it is, or model.py folded.

    Raises:
        UsageError: the folder has no model.onnx, and onnxruntime is asked for.
    """
    if setting.backend == "torch":
        return runner(load_module(folder / "model.py").load(), size, setting)
    path = folder / FORMATS["onnx"].file
    if not path.is_file():
        raise UsageError(f"{folder} has no {path.name}; export it again with --format onnx, or take --backend torch")
    return onnx_runner(path, torch.rand(setting.batch, *size), setting)


def onnx_runner(path: Path, images: torch.Tensor, setting: Setting) -> Callable[[], object]:
    """A call that runs an ONNX file once."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = setting.threads
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    inputs = {"images": images.numpy()}
    return lambda: session.run(None, inputs)


def measure(
    runners: Sequence[Callable[[], object]], seconds: float = 1.0, progress: Callable[[], None] | None = None
) -> list[Latency]:
    """Measure each of several calls for about `seconds`, in five rounds over all of them.

    `progress` is called after each turn, of which there are five for each call.
    """
    for run in runners:
        repeat(run, _WARM_UP_SECONDS, 2)
    times: list[list[float]] = [[] for _ in runners]
    for _ in range(ROUNDS):
        for run, seconds_of_run in zip(runners, times, strict=True):
            run()  # one unmeasured run, since the caches still hold the data of the network before
            seconds_of_run.extend(repeat(run, seconds / ROUNDS, _LEAST_RUNS))
            if progress is not None:
                progress()
    return [_summary(seconds) for seconds in times]


def _torch_runner(network: nn.Module, images: torch.Tensor) -> Callable[[], object]:
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = images.contiguous(memory_format=torch.channels_last)

    def run() -> object:
        with torch.inference_mode():
            return network(images)

    return run


def repeat(run: Callable[[], object], seconds: float, least: int) -> list[float]:
    """Milliseconds of each run until the time is over, but at least `least` of them."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        started = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - started))
    return times


def _summary(times: Sequence[float]) -> Latency:
    low, _, high = quantiles(times, n=4)
    return Latency(round(median(times), 4), round(low, 4), round(high, 4), len(times))

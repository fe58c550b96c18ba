"""Measuring the operations of a space on this machine, and how well their sum predicts whole networks."""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bsconv_nas.data.options import user_cache
from bsconv_nas.latency.measure import ROUNDS, Setting, measure, repeat, runner
from bsconv_nas.networks.arch import ArchSpec, BlockSpec, LayerSpec, StemSpec
from bsconv_nas.networks.latency_table import LatencyTable, read_table
from bsconv_nas.networks.operations import Operation, operations_of
from bsconv_nas.nn.blocks import ACTIVATION_MODULES, InputNorm, SqueezeExcitation
from bsconv_nas.nn.build import build
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.spaces.operations import operations_in
from bsconv_nas.study.settings import processor

NETWORKS = 16  # half of them for the factor, half for the error
_RUNS = 3  # measurements of each operation in each round
_NETWORK_SECONDS = 0.2
_OTHER = ArchSpec(
    (16, 16), 10, StemSpec(8), tuple(BlockSpec((LayerSpec("U", width, se=True),)) for width in (16, 32, 64))
)
_OTHER_FLOATS = 500_000  # as many as fill a level-2 cache

Progress = Callable[[int, int], None]


def table_of(
    space: ArchSpace, threads: int, study_file: Path | None = None, progress: Progress | None = None
) -> LatencyTable:
    """The latency table of a space: the one in `study_file`, the one in the user's cache, or a new one.

    `progress(done, total)` is called while a new one is measured.

    Raises:
        UsageError: threads below 1.
        StorageError: the cache cannot be written.
    """
    setting = Setting(threads=threads)
    machine = (processor(), torch.__version__, str(threads), space.fingerprint)
    cached = (
        user_cache() / "latency" / f"{space.name}-{hashlib.sha256('|'.join(machine).encode()).hexdigest()[:16]}.json"
    )
    for path in (study_file, cached):
        table = read_table(path, space.fingerprint, threads) if path is not None else None
        if table is not None:
            return table
    table = measured_table(space, setting, progress or (lambda done, total: None))
    table.write(cached)
    return table


def measured_table(space: ArchSpace, setting: Setting, progress: Progress) -> LatencyTable:
    """Measure every operation of a space, then whole random networks to fit the factor and to check the sum."""
    operations = operations_in(space)
    steps = _Steps(ROUNDS * (len(operations) + NETWORKS), progress)
    before = torch.get_num_threads()
    torch.set_num_threads(setting.threads)
    try:
        with torch.random.fork_rng(devices=[]):
            ms = dict(zip(operations, measured_operations(operations, steps.advance), strict=True))
            networks = _networks(space, setting, ms, steps.advance)
    finally:
        torch.set_num_threads(before)
    factor, checks = _fitted(networks)
    return LatencyTable(space.fingerprint, processor(), torch.__version__, setting.threads, ms, factor, checks)


def measured_operations(operations: Sequence[Operation], progress: Callable[[], None]) -> list[float]:
    """Median milliseconds of each operation, in rounds over all, so that a busy moment hits no operation alone.

    Something else runs before each run, as in a network. Repeated without, small operations take half as long: all
    code and data is in the nearest cache, and every branch is foreseen.
    """
    other = _something_else()
    times: list[list[float]] = [[] for _ in operations]
    for _ in range(ROUNDS):
        for operation, seconds in zip(operations, times, strict=True):
            with torch.inference_mode():
                seconds.extend(_times(_runner(operation), other))
            progress()
    return [round(median(seconds), 6) for seconds in times]


def _times(run: Callable[[], object], other: Callable[[], object]) -> list[float]:
    run()  # the first run lets torch choose and cache an implementation
    times: list[float] = []
    for _ in range(_RUNS):
        other()
        times += repeat(run, 0, 1)
    return times


def _something_else() -> Callable[[], object]:
    network, memory = runner(build(_OTHER, seed=0), (3, 16, 16), Setting()), torch.zeros(_OTHER_FLOATS)
    return lambda: (memory.add_(1), network())


class _Whole(NamedTuple):
    """A network: the sum of the milliseconds of its operations, and what it took as a whole."""

    sum_ms: float
    ms: float


def _networks(
    space: ArchSpace, setting: Setting, ms: dict[Operation, float], progress: Callable[[], None]
) -> list[_Whole]:
    rng = random.Random(0)
    archs = [space.decode(space.random(rng)) for _ in range(NETWORKS)]
    size = (space.in_channels, *space.image_size)
    latencies = measure([runner(build(arch, seed=0), size, setting) for arch in archs], _NETWORK_SECONDS, progress)
    sums = [sum(ms[operation] for operation in operations_of(arch)) for arch in archs]
    return [_Whole(total, latency.median_ms) for total, latency in zip(sums, latencies, strict=True)]


def _fitted(networks: Sequence[_Whole]) -> tuple[float, tuple[tuple[float, float], ...]]:
    """The factor from one half of the networks; predicted and measured times of the other half.

    A factor and no constant per operation: in a network, caches hold what came before, so that large operations lose
    most.
    """
    half = len(networks) // 2
    factor = round(median(whole.ms / whole.sum_ms for whole in networks[:half]), 4)
    return factor, tuple((factor * whole.sum_ms, whole.ms) for whole in networks[half:])


@dataclass(slots=True)
class _Steps:
    total: int
    progress: Progress
    done: int = 0

    def advance(self) -> None:
        self.done += 1
        self.progress(self.done, self.total)


class _Classifier(nn.Module):
    """Average pooling and the linear layer."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.mean((2, 3)))


class _Double(nn.Module):
    """An addition of two tensors of one shape."""

    def forward(self, x: Tensor) -> Tensor:
        return x + x


def _convolution(op: Operation) -> nn.Module:
    padding = op.kernel_size // 2
    return nn.Conv2d(op.in_channels, op.out_channels, op.kernel_size, op.stride, padding, groups=op.groups)


_MODULES: dict[str, Callable[[Operation], nn.Module]] = {
    "norm": lambda op: InputNorm(op.in_channels),
    "conv": _convolution,
    "se": lambda op: SqueezeExcitation(op.in_channels),
    "add": lambda op: _Double(),
    "classifier": lambda op: _Classifier(op.in_channels, op.out_channels),
}


def _runner(operation: Operation) -> Callable[[], Any]:
    make = _MODULES.get(operation.kind)
    module = make(operation) if make else ACTIVATION_MODULES[operation.kind](inplace=True)
    module = module.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shape = (1, operation.in_channels, operation.height, operation.width)
    images = torch.rand(shape).contiguous(memory_format=torch.channels_last)
    return lambda: module(images)

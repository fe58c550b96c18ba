"""Where the time of a training step goes, and how much of the machine it uses."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bsconv_nas.models import get_model
from bsconv_nas.nn.bsconv import orthonormal_loss
from bsconv_nas.train.augment import as_input, crop_and_flip, draw_shifts
from bsconv_nas.train.memory import keep_freed_memory
from bsconv_nas.train.precision import forward_pass
from bsconv_nas.train.recipe import Precision

BATCH, SIDE, STEPS = 128, 32, 9


def peaks() -> dict[str, float]:
    """What one core reaches: multiply-accumulates per second of a large product, bytes per second of a large copy."""
    torch.set_num_threads(1)
    peaks: dict[str, float] = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = (torch.randn(2048, 2048).to(dtype) for _ in range(2))
        peaks[f"{str(dtype).removeprefix('torch.')}_macs_per_s"] = 2048**3 / _cpu_seconds(lambda a=a, b=b: a @ b)
    source, target = torch.ones(2**28, dtype=torch.uint8), torch.zeros(2**28, dtype=torch.uint8)
    peaks["copied_bytes_per_s"] = 2 * 2**28 / _cpu_seconds(lambda: target.copy_(source))
    return peaks


def stage_shares(name: str, macs: float, peak: dict[str, float], precision: Precision) -> dict[str, Any]:
    """Shares of the CPU time of a step by stage, and of the machine's peaks.

    Three times the MACs of a forward pass count as useful work. Memory counts what must at least move: each layer's
    output is written and read once forward and once back.
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    network = get_model(name, 10).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rows = [_step(network, precision) for _ in range(STEPS)][2:]
    medians = {stage: statistics.median(row[stage] for row in rows) for stage in rows[0]}
    total = sum(medians.values())
    useful = 3 * macs * BATCH / total
    moved = 4 * _activation_bytes(network, precision) / total
    return {
        "ms_per_step": round(1e3 * total, 1),
        "shares": {stage: round(seconds / total, 3) for stage, seconds in medians.items()},
        "share_of_product_peak": round(useful / peak[f"{precision}_macs_per_s"], 3),
        "share_of_memory_peak": round(moved / peak["copied_bytes_per_s"], 3),
    }


def _step(network: nn.Module, precision: Precision) -> dict[str, float]:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=True)
    images = torch.randint(0, 256, (BATCH, SIDE, SIDE, 3), dtype=torch.uint8)
    labels = torch.randint(0, 10, (BATCH,))
    marks = [time.process_time()]
    batch = as_input(
        crop_and_flip(images, draw_shifts(len(images), 4, True, torch.Generator().manual_seed(0)), 4, True)
    )
    marks.append(time.process_time())
    with forward_pass(torch.device("cpu"), precision):
        loss = cross_entropy(network(batch).float(), labels)
    loss = loss + orthonormal_loss(network)
    marks.append(time.process_time())
    loss.backward()
    marks.append(time.process_time())
    optimizer.step()
    optimizer.zero_grad()
    marks.append(time.process_time())
    stages = ("data", "forward", "backward", "optimizer")
    return {stage: marks[i + 1] - marks[i] for i, stage in enumerate(stages)}


def _activation_bytes(network: nn.Module, precision: Precision) -> int:
    """Bytes of the outputs of all convolutions and normalisations for one batch."""
    sizes: list[int] = []

    def note(module: nn.Module, arguments: Any, output: Tensor) -> None:
        sizes.append(output.numel() * output.element_size())

    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    handles = [layer.register_forward_hook(note) for layer in layers]
    with torch.no_grad(), forward_pass(torch.device("cpu"), precision):
        network(torch.rand(BATCH, 3, SIDE, SIDE).to(memory_format=torch.channels_last))
    for handle in handles:
        handle.remove()
    return sum(sizes)


def _cpu_seconds(run: Callable[[], object]) -> float:
    times: list[float] = []
    for _ in range(6):
        begin = time.process_time()
        run()
        times.append(time.process_time() - begin)
    return statistics.median(times[1:])

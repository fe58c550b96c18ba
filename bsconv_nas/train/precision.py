"""The fastest precision of a machine, and the context of a forward pass in it."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch

from bsconv_nas.train.fast_routes import fast_routes
from bsconv_nas.train.recipe import Precision


def fastest_precision(device: str) -> Precision:
    """bfloat16 where the hardware multiplies in it: GPUs since Ampere, CPUs with AVX512-BF16 or AMX; else float32."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        return "bfloat16"  # the workers are on other machines, whose GPUs are not known here
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.get_device_capability(device) >= (8, 0) else "float32"
    return "bfloat16" if {"avx512_bf16", "amx_bf16"} & _cpu_flags() else "float32"


@contextmanager
def forward_pass(device: torch.device, precision: Precision) -> Generator[None]:
    """Within it products run in `precision`, and layers that are slow on `device` take the fast routes."""
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"), fast_routes(device):
        yield


def _cpu_flags() -> set[str]:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return set(line.split())
    except OSError:
        pass
    return set()

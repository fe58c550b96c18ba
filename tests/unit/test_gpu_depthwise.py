"""The GPU's depthwise convolutions, run by Triton's interpreter where there is no GPU."""

import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from bsconv_nas.train import gpu_depthwise
from bsconv_nas.train.gpu_depthwise import GpuDepthwise, is_square

pytest.importorskip("triton", reason="Triton comes with the CUDA builds of torch")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


# The interpreter must be asked for before Triton is imported: without a GPU a process of its own does the rest.
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
runs_kernels = pytest.mark.skipif(DEVICE == "cpu" and not INTERPRETED, reason="run in a process with the interpreter")


@pytest.mark.skipif(DEVICE == "cuda" or INTERPRETED, reason="this process runs the kernels itself")
def test_kernels_in_the_interpreter() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", __file__]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
    assert "12 passed" in found.stdout


def tensors(channels: int, kernel: int, size: tuple[int, int], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    images = torch.randn(2, channels, *size, device=DEVICE).to(dtype).contiguous(memory_format=torch.channels_last)
    return images.requires_grad_(), torch.randn(channels, 1, kernel, kernel, device=DEVICE).requires_grad_()


@runs_kernels
@pytest.mark.parametrize(
    ("kernel", "stride", "channels", "size"),
    [
        (1, 1, 5, (9, 6)),
        (3, 1, 40, (9, 6)),
        (3, 2, 5, (9, 6)),
        (3, 2, 32, (8, 13)),
        (3, 3, 5, (8, 13)),
        (4, 2, 5, (9, 6)),
        (5, 1, 5, (8, 13)),
        (5, 2, 40, (9, 6)),
        (7, 2, 5, (8, 7)),
    ],
)
def test_values_and_gradients_are_those_of_torch(
    kernel: int, stride: int, channels: int, size: tuple[int, int]
) -> None:
    for padding in {0, kernel // 2}:
        images, weight = tensors(channels, kernel, size, torch.float32)
        expected = conv2d(images, weight, None, stride, padding, groups=channels)
        found = GpuDepthwise.apply(images, weight, stride, padding)
        assert isinstance(found, Tensor)
        assert found.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        slope = torch.linspace(-1, 1, found.numel(), device=DEVICE).view_as(found)
        theirs = torch.autograd.grad((expected * slope).sum(), [images, weight])
        ours = torch.autograd.grad((found * slope).sum(), [images, weight])
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)


@runs_kernels
def test_more_pixels_than_a_chunk_in_bfloat16_without_padding() -> None:
    images, weight = tensors(6, 3, (23, 31), torch.bfloat16)
    found = GpuDepthwise.apply(images, weight, 1, 0)
    assert isinstance(found, Tensor)
    assert found.dtype is torch.bfloat16
    expected = conv2d(images.float(), weight, groups=6)
    torch.testing.assert_close(found.float(), expected, rtol=1e-2, atol=1e-2)
    (ours,) = torch.autograd.grad(found.float().square().sum(), [weight])
    (theirs,) = torch.autograd.grad(expected.square().sum(), [weight])
    torch.testing.assert_close(ours, theirs, rtol=2e-2, atol=2e-2 * float(theirs.abs().max()))


def test_which_convolutions_are_done() -> None:
    images = torch.zeros(2, 6, 8, 8)
    depthwise, grouped = torch.zeros(6, 1, 3, 3), torch.zeros(12, 1, 3, 3)
    one = (1, 1)
    assert is_square(images, depthwise, one, one, one, 6)
    assert not is_square(images, grouped, one, one, one, 6)
    assert not is_square(images, depthwise, (1, 2), one, one, 6)
    assert not is_square(images, depthwise, one, one, (2, 2), 6)
    assert not is_square(images, torch.zeros(6, 1, 3, 5), one, one, one, 6)
    assert not is_square(images, torch.zeros(6, 6, 3, 3), one, one, one, 1)


def test_where_triton_cannot_compile_cudnn_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: object, **more: object) -> None:
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(gpu_depthwise, "_convolve", fails)
    gpu_depthwise.compiles.cache_clear()
    assert not gpu_depthwise.compiles(torch.device("cpu"))
    gpu_depthwise.compiles.cache_clear()

"""The fast routes of CPU training against what torch computes, values and gradients."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bsconv_nas.models import get_model
from bsconv_nas.train.precision import Precision, fastest_precision, forward_pass

CPU = torch.device("cpu")


def images(*shape: int) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(*shape, dtype=torch.float64).to(memory_format=torch.channels_last)


def outcome(layer: nn.Module, batch: Tensor, around: Callable[[], object]) -> list[Tensor]:
    """Result, gradients and buffers after one pass forward and back."""
    layer = layer.double()
    batch = batch.clone(memory_format=torch.preserve_format).requires_grad_()
    with around():  # type: ignore[attr-defined]
        result = layer(batch * 1)
    (result * torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)).sum().backward()
    assert batch.grad is not None
    return [result.detach(), batch.grad, *(p.grad for p in layer.parameters() if p.grad is not None), *layer.buffers()]


def assert_same(make: Callable[[], nn.Module], batch: Tensor) -> None:
    torch.manual_seed(1)
    stock = make()
    torch.manual_seed(1)
    ours = make()
    expected = outcome(stock, batch, torch.enable_grad)
    found = outcome(ours, batch, lambda: forward_pass(CPU, "float32"))
    assert len(found) == len(expected)
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, (3, 5), (7, 3), 4, 9])
@pytest.mark.parametrize("stride", [1, 2, 3, (1, 2)])
@pytest.mark.parametrize("size", [(9, 12), (8, 7)])
def test_depthwise(kernel: int | tuple[int, int], stride: int, size: tuple[int, int]) -> None:
    reach = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    padding = (reach[0] // 2, reach[1] // 2)
    assert_same(lambda: nn.Conv2d(6, 6, kernel, stride, padding, groups=6, bias=False), images(5, 6, *size))


class WithNumbers(nn.Module):
    """A layer of somebody's own, which gives numbers where `nn.Conv2d` gives pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(6, 1, 3, 3))

    def forward(self, batch: Tensor) -> Tensor:
        return torch.conv2d(batch, self.weight, stride=2, padding=1, groups=6)


def test_depthwise_by_numbers() -> None:
    assert_same(WithNumbers, images(5, 6, 9, 12))


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_depthwise_with_other_padding(padding: int) -> None:
    assert_same(lambda: nn.Conv2d(4, 4, 5, 2, padding, groups=4, bias=False), images(3, 4, 11, 10))


@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.Conv2d(4, 4, 5, padding=2, groups=4),
        lambda: nn.Conv2d(4, 8, 5, padding=2, stride=2, groups=4, bias=False),
        lambda: nn.Conv2d(4, 4, 5, padding=4, dilation=2, groups=4, bias=False),
        lambda: nn.Conv2d(4, 4, 5, padding="same", groups=4, bias=False),
        lambda: nn.Conv2d(4, 6, 3, stride=2, bias=False),
        lambda: nn.AdaptiveAvgPool2d(2),
    ],
)
def test_others_are_left_alone(layer: Callable[[], nn.Module]) -> None:
    assert_same(layer, images(3, 4, 9, 9))


@pytest.mark.parametrize("channels", [1, 3, 6, 17, 20, 21, 40])
@pytest.mark.parametrize("size", [(8, 8), (6, 5), (3, 3), (1, 2)])
def test_batch_norm(channels: int, size: tuple[int, int]) -> None:
    def layer() -> nn.Module:
        norm = nn.BatchNorm2d(channels, momentum=0.3)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        return norm

    assert_same(layer, 3 * images(7, channels, *size) + 2)


def test_batch_norm_without_statistics_or_weights() -> None:
    assert_same(lambda: nn.BatchNorm2d(4, track_running_stats=False), images(5, 4, 4, 4))
    assert_same(lambda: nn.BatchNorm2d(4, affine=False), images(5, 4, 4, 4))


class Mean(nn.Module):
    def __init__(self, *arguments: object) -> None:
        super().__init__()
        self.arguments = arguments

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(*self.arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("arguments", [((2, 3),), ([2, 3], True), ((1, 2),), (1,), ()])
def test_averages(arguments: tuple[object, ...]) -> None:
    assert_same(lambda: Mean(*arguments), images(3, 5, 4, 6))
    assert_same(lambda: nn.AdaptiveAvgPool2d(1), images(3, 5, 4, 6))


@pytest.mark.parametrize("inplace", [False, True])
def test_clamping(inplace: bool) -> None:
    batch = 9 * images(3, 5, 4, 4)
    assert_same(lambda: nn.ReLU6(inplace=inplace), batch)
    assert_same(lambda: nn.Hardtanh(-2, 3, inplace=inplace), batch)


@pytest.mark.parametrize("name", ["cifar_resnet20_bsconvu", "cifar_mobilenetv3_small_w1d4"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_whole_networks_have_the_gradients_of_torch(name: str, precision: Precision) -> None:
    def gradients(around: Callable[[], object]) -> Tensor:
        torch.manual_seed(0)
        network = get_model(name, 10).to(memory_format=torch.channels_last)
        batch = torch.rand(16, 3, 32, 32).to(memory_format=torch.channels_last)
        with around():  # type: ignore[attr-defined]
            logits = network(batch).float()
        nn.functional.cross_entropy(logits, torch.arange(16) % 10).backward()
        return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])

    expected = gradients(torch.enable_grad)
    found = gradients(lambda: forward_pass(CPU, precision))
    similarity = float(nn.functional.cosine_similarity(expected, found, dim=0))
    assert similarity > (0.999 if precision == "float32" else 0.8), similarity


def test_evaluation_computes_what_torch_does() -> None:
    network = get_model("cifar_resnet20_bsconvu", 10).eval()
    batch = torch.rand(4, 3, 32, 32)
    with torch.inference_mode():
        expected = network(batch)
        with forward_pass(CPU, "float32"):
            assert torch.equal(network(batch), expected)


def test_the_fastest_precision_is_that_of_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, expected in ((set(), "float32"), ({"avx512_bf16"}, "bfloat16"), ({"amx_bf16", "fma"}, "bfloat16")):
        monkeypatch.setattr("bsconv_nas.train.precision._cpu_flags", lambda flags=flags: flags)
        assert fastest_precision("cpu") == expected

"""Folding of normalisation and merging of pointwise convolutions: the same outputs from fewer operations."""

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from bsconv_nas.export.fold import folded
from bsconv_nas.models import get_model
from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.nn import BSConvS
from bsconv_nas.nn.build import build
from bsconv_nas.nn.profile import ModelProfiler
from tests.networks import settled
from tests.strategies import archs


def outputs(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return network(images)


def layers(network: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in network.modules())


@settings(max_examples=12)
@given(archs())
def test_outputs_stay_and_macs_do_not_rise(arch: ArchSpec) -> None:
    size = (2, arch.in_channels, *arch.image_size)
    network = settled(build(arch, seed=1), size)
    compact = folded(network)
    images = torch.rand(size)
    torch.testing.assert_close(outputs(compact, images), outputs(network, images), rtol=1e-4, atol=1e-4)
    assert layers(compact, nn.BatchNorm2d) == 0
    assert ModelProfiler(compact, size).total_macs <= ModelProfiler(network, size).total_macs


@pytest.mark.parametrize("name", ["cifar_resnet20_bsconvs_p1d4", "cifar_preresnet20", "cifar_mobilenetv3_small_w7d20"])
def test_reference_networks(name: str) -> None:
    network = settled(get_model(name, 10), (8, 3, 32, 32))
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(outputs(folded(network), images), outputs(network, images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("channels", "out", "p", "merged"), [(8, 8, 1.0, True), (32, 32, 0.25, False)])
@pytest.mark.parametrize("with_bn", [False, True])
def test_pointwise_convolutions_merge_where_that_costs_no_more(
    channels: int, out: int, p: float, merged: bool, with_bn: bool
) -> None:
    layer = BSConvS(channels, out, 3, padding=1, p=p, min_mid_channels=1, with_bn=with_bn, bias=False)
    network = settled(nn.Sequential(layer, nn.BatchNorm2d(out)), (8, channels, 6, 6))
    compact = folded(network)
    assert layers(compact, nn.Conv2d) == (2 if merged else 3)
    images = torch.rand(2, channels, 6, 6)
    torch.testing.assert_close(outputs(compact, images), outputs(network, images), rtol=1e-4, atol=1e-5)


def test_nothing_merges_across_an_activation_or_a_second_use() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.first(x)
            return self.second(y) + y

    activated = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1))
    strided = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1, stride=2))
    for network in (Branching(), activated, strided):
        assert layers(folded(network), nn.Conv2d) == 2


def test_the_network_itself_is_left_as_it_was() -> None:
    network = settled(get_model("cifar_resnet20_bsconvu", 10), (4, 3, 16, 16))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    folded(network)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())

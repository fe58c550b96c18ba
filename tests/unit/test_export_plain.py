"""The file of a reference network: readable, alone, and the same network."""

import pytest
import torch
from torch import Tensor, nn

from bsconv_nas.errors import UsageError
from bsconv_nas.export.plain import plain_model
from bsconv_nas.models.named import build_named
from bsconv_nas.nn.profile import ModelProfiler
from tests.networks import settled

FAMILIES = [
    "cifar_resnet20_bsconvs_p1d4",
    "cifar_preresnet20_bsconvu",
    "cifar_wrn16_1",
    "resnet10",
    "cifar_mobilenetv1_w1d4_bsconvu",
    "cifar_mobilenetv2_w1d4_bsconvs_p1d6",
    "cifar_mobilenetv3_small_w7d20",
    "torchvision:mobilenet_v3_small",
]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_file_computes_exactly_what_the_network_does(name: str) -> None:
    network = settled(build_named(name, 7, seed=0), (8, 3, 64, 64), passes=1)
    source, weights = plain_model(network, name)
    assert "bsconv_nas" not in source
    assert max(map(len, source.splitlines())) < 160
    rebuilt = built(source)
    rebuilt.load_state_dict(weights)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(rebuilt.eval()(images), network(images))
    counts = [ModelProfiler(model, (1, 3, 64, 64)) for model in (network, rebuilt)]
    assert counts[0].total_macs == counts[1].total_macs
    assert counts[0].total_parameter_count == counts[1].total_parameter_count


def built(source: str) -> nn.Module:
    names: dict[str, object] = {"__name__": "model"}
    exec(compile(source, "model.py", "exec"), names)
    build = names["build"]
    assert callable(build)
    network = build()
    assert isinstance(network, nn.Module)
    return network


class Deciding(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Foreign(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return unknown(x)


@torch.fx.wrap
def unknown(x: Tensor) -> Tensor:
    return x


@pytest.mark.parametrize(("network", "words"), [(Deciding(), "cannot be written"), (Foreign(), "no function of torch")])
def test_what_has_no_line_of_code_is_refused(network: nn.Module, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plain_model(network, "some network")

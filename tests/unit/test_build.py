import copy
import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from bsconv_nas.errors import ArchError
from bsconv_nas.networks.arch import ArchSpec, BlockSpec, HeadSpec, LayerSpec, StemSpec
from bsconv_nas.networks.arch_checks import ACTIVATIONS
from bsconv_nas.nn import BSConvS, BSConvU, orthonormal_loss
from bsconv_nas.nn.blocks import ACTIVATION_MODULES, InputNorm
from bsconv_nas.nn.build import Network, build
from bsconv_nas.spaces.references import REFERENCES


def _arch(kind: str = "S", shortcut: str = "projection", activation: str = "relu", se: bool = True) -> ArchSpec:
    p = 0.25 if kind == "S" else None
    block = (
        LayerSpec(kind, 12, 3, 2, p, inner_bn=True, se=se, activation=activation),
        LayerSpec(kind, 16, 5, 1, p, activation=activation),
    )
    blocks = (
        BlockSpec(block, shortcut),
        BlockSpec((LayerSpec(kind, 16, 3, 1, p, activation=activation),), "identity"),
        BlockSpec((LayerSpec(kind, 8, 1, 1, p, se=se, activation=activation),)),
    )
    return ArchSpec(
        (11, 8), 5, StemSpec(8, activation=activation), blocks, HeadSpec(10, activation, 0.1), in_channels=2
    )


EVERY_KIND = [
    pytest.param(_arch(kind, shortcut, activation), id=f"{kind}-{shortcut}-{activation}")
    for kind, shortcut, activation in itertools.product(("U", "S"), ("none", "projection"), ACTIVATIONS)
] + [pytest.param(ArchSpec((1, 1), 2, StemSpec(3), ()), id="no-blocks")]


def _images(arch: ArchSpec, number: int = 3) -> Tensor:
    return torch.rand(number, arch.in_channels, *arch.image_size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("arch", EVERY_KIND)
def test_logits_and_gradients(arch: ArchSpec) -> None:
    network = build(arch, seed=0).train()
    logits = network(_images(arch, 4))
    assert logits.shape == (4, arch.num_classes)
    assert logits.dtype == torch.float32
    (nn.functional.cross_entropy(logits, torch.arange(4) % arch.num_classes) + orthonormal_loss(network)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_every_weight_takes_part() -> None:
    """A weight that the forward pass forgets would have a zero gradient; smooth activations make none by chance."""
    network = build(_arch(activation="silu"), seed=0).train()
    network.dropout.p = 0.0
    nn.functional.cross_entropy(network(_images(network.arch, 8)), torch.arange(8) % 5).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        if name.endswith("weight"):
            assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("arch", EVERY_KIND)
def test_images_are_left_as_they_were(arch: ArchSpec) -> None:
    images = _images(arch)
    before = images.clone()
    build(arch, seed=0)(images)
    assert torch.equal(images, before)


def test_the_identity_shortcut_adds_the_input_before_the_activation() -> None:
    arch = ArchSpec((4, 4), 2, StemSpec(8), (BlockSpec((LayerSpec("U", 8),), "identity"),))
    block = build(arch, seed=0).eval().blocks.get_submodule("0")
    x = torch.randn(2, 8, 4, 4)
    branch = block.get_submodule("layers")(x)
    assert (branch < 0).any(), "no activation in the branch"
    assert torch.equal(block(x), torch.relu(branch + x))


def test_channels_last_gives_the_same_result() -> None:
    network = build(_arch(), seed=0).eval()
    images = _images(network.arch)
    expected = network(images)
    found = network.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["U", "S"])
def test_an_exported_program_gives_the_same_result(kind: str) -> None:
    network = build(_arch(kind, activation="hardswish"), seed=0).eval()
    images = _images(network.arch)
    program = torch.export.export(network, (images,))
    torch.testing.assert_close(program.module()(images), network(images), rtol=1e-5, atol=1e-5)


def test_a_network_stays_the_same_through_its_state_dict() -> None:
    first, second = build(_arch(), seed=0).eval(), build(_arch(), seed=1).eval()
    first.get_submodule("norm").mean.fill_(0.3)  # type: ignore[operator, union-attr]
    images = _images(first.arch)
    assert not torch.allclose(first(images), second(images))
    second.load_state_dict(first.state_dict(), strict=True)
    assert torch.equal(first(images), second(images))


def test_input_normalisation_is_part_of_the_network() -> None:
    norm = InputNorm(2)
    norm.mean.copy_(torch.tensor([0.5, 0.1]).reshape(2, 1, 1))
    norm.std.copy_(torch.tensor([0.5, 0.2]).reshape(2, 1, 1))
    found = norm(torch.full((1, 2, 1, 1), 0.7)).flatten()
    torch.testing.assert_close(found, torch.tensor([0.4, 3.0]))
    assert set(norm.state_dict()) == {"mean", "std"}


def test_dropout_acts_in_training_only() -> None:
    arch = ArchSpec((4, 4), 3, StemSpec(64), (), HeadSpec(dropout=0.5))
    network, images = build(arch, seed=0).eval(), _images(arch)
    assert torch.equal(network(images), network(images))
    network.dropout.train()
    assert not torch.equal(network(images), network(images))


def test_a_seed_makes_the_weights() -> None:
    one, same, other = (build(_arch(), seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["stem.conv.weight"], other["stem.conv.weight"])


def test_a_seeded_build_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build(_arch(), seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_a_seeded_build_leaves_other_devices_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    torch.manual_seed(7)
    assert seeded == [7], "the way in which torch reseeds the devices"
    build(_arch(), seed=0)
    assert seeded == [7]


def test_an_unseeded_build_follows_the_global_generator() -> None:
    torch.manual_seed(5)
    one = build(_arch()).state_dict()
    two = build(_arch()).state_dict()
    torch.manual_seed(5)
    again = build(_arch()).state_dict()
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["stem.conv.weight"], two["stem.conv.weight"])


@pytest.mark.parametrize("size", [32, 224])
def test_activations_neither_vanish_nor_explode_at_the_start(size: int) -> None:
    for name in ("mobilenetv1-w1d4-bsconvu", "resnet-bsconvs-p1d4"):
        arch = REFERENCES[name]((size, size), 10)
        network = build(arch, seed=0).train()
        logits = network(torch.rand(2, 3, size, size))
        assert 1e-3 < logits.std() < 10, name


def test_every_activation_of_the_specification_has_a_module() -> None:
    assert tuple(ACTIVATION_MODULES) == ACTIVATIONS


# orthonormal_loss


def _formula(network: nn.Module, alpha: float) -> Tensor:
    """Eq. 6 written out: alpha times the sum over the layers of ||W W^T - I||, W being the (M', M) first pointwise."""
    total = torch.zeros(())
    for name, parameter in network.named_parameters():
        if name.endswith("pw1.weight"):
            w = parameter[:, :, 0, 0]
            total = total + ((w @ w.T - torch.eye(w.shape[0])) ** 2).sum().sqrt()
    return alpha * total


def _disturbed(network: Network) -> Network:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(
                0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
            )
    return network


@pytest.mark.parametrize("name", [name for name in REFERENCES if "bsconvs" in name])
def test_the_loss_is_zero_at_the_start_of_every_s_network(name: str) -> None:
    network = build(REFERENCES[name]((32, 32), 10), seed=0)
    assert orthonormal_loss(network).item() == pytest.approx(0, abs=1e-4)
    assert orthonormal_loss(_disturbed(network)).item() > 0.1


@pytest.mark.parametrize("alpha", [0.1, 1.0, 0.0])
def test_the_loss_is_the_formula_of_the_paper(alpha: float) -> None:
    network = _disturbed(build(_arch(), seed=0))
    torch.testing.assert_close(orthonormal_loss(network, alpha), _formula(network, alpha))


def test_the_default_alpha_is_a_tenth() -> None:
    network = _disturbed(build(_arch(), seed=0))
    torch.testing.assert_close(orthonormal_loss(network), orthonormal_loss(network, 0.1))


def test_the_loss_pulls_towards_orthonormal_rows() -> None:
    network = _disturbed(build(_arch(), seed=0))
    before = orthonormal_loss(network)
    before.backward()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            assert (parameter.grad is not None) == name.endswith("pw1.weight"), name
            if parameter.grad is not None:
                parameter.sub_(0.05 * parameter.grad)
    assert orthonormal_loss(network) < before


def test_the_gradient_at_exactly_zero_is_zero_not_nan() -> None:
    layer = BSConvS(8, 4, 1, p=0.5)
    with torch.no_grad():
        layer.orthonormal_weight().copy_(torch.eye(4, 8))
    loss = orthonormal_loss(layer)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(layer.get_submodule("pw1").weight.grad, torch.zeros(4, 8, 1, 1))  # type: ignore[arg-type]


def test_a_copy_has_its_own_loss() -> None:
    network = build(_arch(), seed=0)
    copied = _disturbed(copy.deepcopy(network))
    assert orthonormal_loss(copied).item() > 0.1
    assert orthonormal_loss(network).item() == pytest.approx(0, abs=1e-4)


def test_an_average_has_its_own_loss() -> None:
    network = build(_arch(), seed=0)
    average = AveragedModel(network)
    _disturbed(network)
    assert orthonormal_loss(average).item() == pytest.approx(0, abs=1e-4)
    average.update_parameters(network)  # the first update copies
    torch.testing.assert_close(orthonormal_loss(average), orthonormal_loss(network))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # DataParallel is on its way out
def test_wrappers_have_the_loss_of_what_they_wrap() -> None:
    network, layer = _disturbed(build(_arch(), seed=0)), BSConvS(16, 8, 3)
    expected = orthonormal_loss(network)
    torch.testing.assert_close(orthonormal_loss(nn.DataParallel(network)), expected)
    torch.testing.assert_close(orthonormal_loss(torch.compile(network)), expected)  # type: ignore[arg-type]
    torch.testing.assert_close(orthonormal_loss(torch.compile(layer)), orthonormal_loss(layer))  # type: ignore[arg-type]


def test_a_shared_layer_counts_once() -> None:
    layer = BSConvS(16, 16, 3)
    torch.testing.assert_close(orthonormal_loss(nn.Sequential(layer, layer)), orthonormal_loss(layer))


def test_networks_without_such_layers_lose_nothing() -> None:
    loss = orthonormal_loss(build(_arch("U"), seed=0))
    assert loss.shape == ()
    assert loss.item() == 0
    assert orthonormal_loss(nn.ReLU()).item() == 0
    with torch.device("meta"):
        assert orthonormal_loss(nn.Linear(1, 1)).device.type == "meta"


# the layers on their own


def test_a_blueprint_is_a_full_convolution() -> None:
    """Eq. 4: every full kernel is one depthwise blueprint times its pointwise weights."""
    layer = BSConvU(3, 5, 3, stride=2, padding=1)
    pw, dw = layer.get_submodule("pw").weight, layer.get_submodule("dw")
    full = pw * dw.weight  # (5, 3, 1, 1) * (5, 1, 3, 3)  # type: ignore[operator]
    x = torch.randn(2, 3, 9, 8)
    expected = nn.functional.conv2d(x, full, dw.bias, stride=2, padding=1)  # type: ignore[arg-type]
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)


def test_the_subspace_is_a_low_rank_pointwise() -> None:
    layer = BSConvS(16, 5, 3, padding="same", dilation=2, p=0.25)
    pw1, pw2, dw = (layer.get_submodule(name) for name in ("pw1", "pw2", "dw"))
    pw = (pw2.weight.flatten(1) @ pw1.weight.flatten(1))[:, :, None, None]  # type: ignore[operator, union-attr]
    x = torch.randn(2, 16, 9, 8)
    expected = nn.functional.conv2d(x, pw * dw.weight, dw.bias, padding=2, dilation=2)  # type: ignore[operator, arg-type]
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)
    assert layer.orthonormal_weight().shape == (4, 16)


def test_arguments_of_convolution_and_normalisation_arrive() -> None:
    for layer in (
        BSConvU(4, 6, 3, bias=False, padding_mode="reflect", padding=1, with_bn=True, bn_kwargs={"eps": 0.5}),
        BSConvS(4, 6, 3, bias=False, padding_mode="reflect", padding=1, with_bn=True, bn_kwargs={"eps": 0.5}),
    ):
        dw = layer.get_submodule("dw")
        assert (dw.bias, dw.padding_mode) == (None, "reflect")
        assert {norm.eps for norm in layer.modules() if isinstance(norm, nn.BatchNorm2d)} == {0.5}
        assert layer(torch.rand(2, 4, 5, 5)).shape == (2, 6, 5, 5)


@pytest.mark.parametrize(("p", "least"), [(-0.1, 4), (1.1, 4), (float("nan"), 4), (0.5, 0)])
def test_bad_ratios_are_refused(p: float, least: int) -> None:
    with pytest.raises(ArchError, match="allowed: "):
        BSConvS(8, 8, 3, p=p, min_mid_channels=least)

"""The blueprint convolutions and their regulariser."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.distributed import HashStore, destroy_process_group, init_process_group
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bsconv_nas.errors import ArchError
from bsconv_nas.nn import BSConvS, BSConvU, RegLossMixin, orthonormal_loss


class Net(nn.Module, RegLossMixin):
    """Two regularised layers, one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.a = BSConvS(16, 12, 3, padding=1)
        self.b = nn.Sequential(BSConvS(12, 8, 3, padding=1, p=0.5), BSConvU(8, 4, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x)).mean((2, 3))


def expected_loss(*layers: BSConvS) -> float:
    loss = 0.0
    for layer in layers:
        w = layer.pw1.weight[:, :, 0, 0].double()
        loss += (((w @ w.T - torch.eye(len(w))) ** 2).sum() ** 0.5).item()
    return loss


@pytest.mark.parametrize(("cls", "params"), [(BSConvU, 3 * 8 + 8 * 9 + 8), (BSConvS, 3 * 3 + 3 * 8 + 8 * 9 + 8)])
def test_shape_and_parameters(cls, params):
    layer = cls(3, 8, 3, stride=2, padding=1)
    assert layer(torch.zeros(2, 3, 11, 9)).shape == (2, 8, 6, 5)
    assert sum(p.numel() for p in layer.parameters()) == params


def test_only_the_depthwise_has_stride_padding_dilation_and_bias():
    layer = BSConvS(6, 8, (3, 5), stride=2, padding=(1, 2), dilation=2, padding_mode="reflect", with_bn=True)
    assert [name for name, _ in layer.named_children()] == ["pw1", "bn1", "pw2", "bn2", "dw"]
    for name in ("pw1", "pw2"):
        conv = layer.get_submodule(name)
        assert (conv.kernel_size, conv.stride, conv.padding, conv.bias) == ((1, 1), (1, 1), (0, 0), None)
    assert layer.dw.groups == 8
    assert (layer.dw.stride, layer.dw.padding, layer.dw.dilation) == ((2, 2), (1, 2), (2, 2))
    assert layer.dw.padding_mode == "reflect"
    assert layer.dw.bias is not None


def test_padding_same_and_bn_arguments():
    layer = BSConvU(3, 4, 5, padding="same", with_bn=True, bn_kwargs={"eps": 0.5, "momentum": 0.25})
    assert layer(torch.zeros(1, 3, 7, 7)).shape == (1, 4, 7, 7)
    assert (layer.bn.eps, layer.bn.momentum) == (0.5, 0.25)


@pytest.mark.parametrize(
    ("channels", "p", "least", "mid"),
    [(16, 0.25, 4, 4), (3, 0.25, 4, 3), (100, 0.07, 4, 8), (10, 0, 4, 4), (10, 1, 4, 10), (10, 0.25, 99, 10)],
)
def test_width_of_the_subspace(channels, p, least, mid):
    assert BSConvS(channels, 5, 3, p=p, min_mid_channels=least).pw1.out_channels == mid


@pytest.mark.parametrize("arguments", [{"p": 1.5}, {"p": -0.1}, {"p": 0, "min_mid_channels": 0}])
def test_bad_subspace_is_an_error_that_python_o_keeps(arguments):
    with pytest.raises(ArchError, match="allowed"):
        BSConvS(8, 8, 3, **arguments)


def test_loss_is_alpha_times_the_sum_of_frobenius_norms():
    net = Net()
    assert net.reg_loss(alpha=0.3).item() == pytest.approx(0.3 * expected_loss(net.a, net.b[0]))
    assert net.reg_loss().item() == pytest.approx(0.1 * expected_loss(net.a, net.b[0]))
    assert torch.equal(net.reg_loss(), orthonormal_loss(net))


def test_loss_is_zero_with_finite_gradients_at_orthonormal_rows():
    layer = BSConvS(8, 4, 3, p=1)
    with torch.no_grad():
        layer.pw1.weight.copy_(torch.eye(8).reshape(8, 8, 1, 1))
    loss = orthonormal_loss(layer)
    loss.backward()
    assert loss.item() == 0
    assert layer.pw1.weight.grad.isfinite().all()


def test_loss_of_a_model_without_such_layers_is_a_zero_tensor():
    assert orthonormal_loss(nn.Linear(3, 4)).item() == 0
    assert orthonormal_loss(nn.ReLU()).item() == 0


def test_training_on_the_loss_alone_makes_rows_orthonormal():
    torch.manual_seed(0)
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    start = net.reg_loss(1.0).item()
    for _ in range(100):
        optimizer.zero_grad()
        net.reg_loss(1.0).backward()
        optimizer.step()
    assert net.reg_loss(1.0).item() < 0.2 * start


def test_copies_are_regularised_on_their_own_weights():
    net = Net()
    before = net.reg_loss().item()
    twin = copy.deepcopy(net)
    with torch.no_grad():
        twin.a.pw1.weight.mul_(3)
    assert net.reg_loss().item() == before
    assert twin.reg_loss().item() == pytest.approx(0.1 * expected_loss(twin.a, twin.b[0]))
    twin.reg_loss().backward()
    assert net.a.pw1.weight.grad is None
    assert twin.a.pw1.weight.grad is not None


def test_a_whole_model_can_be_saved_and_loaded(tmp_path):
    net = Net()
    torch.save(net, tmp_path / "net.pt")
    assert torch.equal(torch.load(tmp_path / "net.pt", weights_only=False).reg_loss(), net.reg_loss())


def test_bug_3_wrapped_models_are_regularised():
    net = Net()
    loss = orthonormal_loss(net)
    assert torch.equal(orthonormal_loss(nn.DataParallel(net)), loss)
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    with torch.no_grad():
        net.a.pw1.weight.mul_(2)
    assert torch.equal(orthonormal_loss(average), loss)
    assert not torch.equal(orthonormal_loss(net), loss)


def test_bug_3_distributed_models_are_regularised():
    init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    try:
        net = Net()
        wrapped = nn.parallel.DistributedDataParallel(net)
        (wrapped(torch.ones(2, 16, 8, 8)).mean() + orthonormal_loss(wrapped)).backward()
        assert torch.equal(orthonormal_loss(wrapped), net.reg_loss())
        assert net.a.pw1.weight.grad is not None
    finally:
        destroy_process_group()


def test_compiled_models_and_layers_count_once():
    net = Net()
    loss = orthonormal_loss(net)
    assert torch.equal(orthonormal_loss(torch.compile(net, backend="eager")), loss)
    net.a = torch.compile(net.a, backend="eager")
    assert torch.equal(orthonormal_loss(net), loss)


def test_the_loss_itself_compiles():
    net = Net()
    compiled = torch.compile(orthonormal_loss, backend="eager", fullgraph=True)
    assert torch.equal(compiled(net), orthonormal_loss(net))


def test_loss_keeps_device_and_dtype():
    assert orthonormal_loss(Net().double()).dtype == torch.float64
    assert orthonormal_loss(Net().to("meta")).is_meta
    assert orthonormal_loss(nn.Linear(2, 2, device="meta")).is_meta

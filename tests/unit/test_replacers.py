"""Replacing modules by rule."""

import copy
import logging

import pytest
import torch
from torch import Tensor, nn

from bsconv_nas.errors import UsageError
from bsconv_nas.nn import (
    BSConvS,
    BSConvSReplacer,
    BSConvU,
    BSConvUReplacer,
    Conv2dFilter,
    ModelFilter,
    ModuleFilter,
    ModuleReplacementRule,
    ModuleReplacer,
    ModuleTransformer,
    RegLossTransformer,
    orthonormal_loss,
)

REPLACERS = [(BSConvUReplacer, BSConvU), (BSConvSReplacer, BSConvS)]


class Sharing(nn.Module):
    """One convolution under three names in two parents."""

    def __init__(self) -> None:
        super().__init__()
        conv = nn.Conv2d(4, 4, 3, padding=1)
        self.a = nn.ModuleDict({"x": conv, "y": conv})
        self.b = nn.Sequential(conv, nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a["y"](self.a["x"](x)))


class LinearFilter(ModuleFilter):
    def apply(self, module, name, full_name):
        return isinstance(module, nn.Linear)


class ToIdentity(ModuleTransformer):
    def apply(self, module, name, full_name):
        return nn.Identity()


@pytest.mark.parametrize(("replacer", "new"), REPLACERS)
def test_replaces_ungrouped_convolutions_of_the_kernel_sizes(replacer, new):
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=2), nn.Conv2d(8, 8, 1), nn.Sequential(nn.Conv2d(8, 8, 5)),
        nn.Conv2d(8, 8, 7), nn.Conv2d(8, 8, (3, 5)),
    )  # fmt: skip
    replacer_ = replacer()
    assert replacer_.apply(model) is model
    assert [type(module) for module in model] == [new, nn.Conv2d, nn.Conv2d, nn.Sequential, nn.Conv2d, nn.Conv2d]
    assert type(model[3][0]) is new
    assert [row.name for row in replacer_.report] == ["0", "3.0"]


@pytest.mark.parametrize(("replacer", "new"), REPLACERS)
def test_geometry_and_bias_are_kept(replacer, new):
    conv = nn.Conv2d(6, 8, 3, stride=2, padding=(2, 1), dilation=(2, 1), padding_mode="circular", bias=False)
    made = replacer().apply(nn.Sequential(conv))[0]
    for attribute in ("kernel_size", "stride", "padding", "dilation", "padding_mode", "bias"):
        assert getattr(made.dw, attribute) == getattr(conv, attribute)
    x = torch.zeros(1, 6, 9, 9)
    assert made(x).shape == conv(x).shape
    assert replacer().apply(nn.Sequential(nn.Conv2d(3, 4, 3)))[0].dw.bias is not None


@pytest.mark.parametrize("sizes", [3, [3], (3, 3), [(3, 3)], ((3, 3),), [[3, 3]]])
def test_kernel_sizes_are_written_in_any_way(sizes):
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 5))
    assert [type(module) for module in BSConvUReplacer(sizes).apply(model)] == [BSConvU, nn.Conv2d]


def test_no_kernel_sizes_means_all_of_them():
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, (1, 7)))
    assert {type(module) for module in BSConvUReplacer(kernel_sizes=None).apply(model)} == {BSConvU}


@pytest.mark.parametrize("sizes", ["3", [3.0], 0, [(3, 3, 3)], {3}])
def test_wrong_kernel_sizes_are_an_error(sizes):
    with pytest.raises(UsageError, match="kernel_sizes is"):
        Conv2dFilter(sizes)


@pytest.mark.parametrize(("replacer", "new"), REPLACERS)
def test_dtype_and_mode_are_kept(replacer, new):
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Sequential(nn.Conv2d(4, 4, 3))).double()
    model[1].eval()
    replacer(with_bn=True).apply(model)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float64, torch.int64}
    assert all(module.training for module in model[0].modules())
    assert not any(module.training for module in model[1].modules())


@pytest.mark.parametrize("device", ["meta", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize(("replacer", "new"), REPLACERS)
def test_device_is_kept(replacer, new, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    model = replacer(with_bn=True).apply(nn.Sequential(nn.Conv2d(4, 4, 3, device=device)))
    assert {tensor.device.type for tensor in model.state_dict().values()} == {device}


@pytest.mark.parametrize(("replacer", "new"), REPLACERS)
def test_shared_convolutions_stay_shared(replacer, new):
    model, replacer_ = Sharing(), replacer()
    replacer_.apply(model)
    assert type(model.b[0]) is new
    assert model.a["x"] is model.a["y"] is model.b[0]
    assert [row.names for row in replacer_.report] == [("a.x", "a.y", "b.0")]
    model(torch.zeros(1, 4, 5, 5))


@pytest.mark.parametrize(("replacer", "new"), REPLACERS)
def test_bug_4_a_root_convolution_is_replaced_once(replacer, new):
    for out_channels in (1, 5):
        replacer_ = replacer()
        model = replacer_.apply(nn.Conv2d(4, out_channels, 3))
        assert type(model) is new
        assert type(model.dw) is nn.Conv2d
        assert len(replacer_.report) == 1
        assert orthonormal_loss(model).item() > 0 or new is BSConvU


def test_bug_4_a_root_convolution_gets_its_regularisation():
    model = BSConvSReplacer().apply(nn.Conv2d(4, 1, 3))
    assert model.reg_loss(alpha=0.2).item() == pytest.approx(2 * orthonormal_loss(model, 0.1).item())


def test_regularisation_of_copies_and_saved_models(tmp_path):
    model = BSConvSReplacer().apply(nn.Sequential(nn.Conv2d(8, 8, 3)))
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin[0].pw1.weight.mul_(2)
    assert torch.equal(twin.reg_loss(), orthonormal_loss(twin))
    assert not torch.equal(twin.reg_loss(), model.reg_loss())
    torch.save(twin, tmp_path / "model.pt")
    loaded = torch.load(tmp_path / "model.pt", weights_only=False)
    assert torch.equal(loaded.reg_loss(), twin.reg_loss())
    with torch.no_grad():
        loaded[0].pw1.weight.zero_()
    assert not torch.equal(loaded.reg_loss(), twin.reg_loss())


def test_a_reg_loss_of_the_users_own_stays():
    class Own(nn.Sequential):
        def reg_loss(self, alpha):
            return alpha

    assert BSConvSReplacer().apply(Own(nn.Conv2d(8, 8, 3))).reg_loss(7) == 7


def test_first_matching_rule_wins_and_new_modules_are_not_searched():
    replacer = ModuleReplacer()
    replacer.add_rule(ModuleReplacementRule(LinearFilter(), ToIdentity()))
    replacer.add_rule(LinearFilter(), _Wrap())
    replacer.add_rule(Conv2dFilter(), _Wrap())
    model = replacer.apply(nn.Sequential(nn.Linear(2, 2), nn.Conv2d(2, 2, 1)))
    assert type(model[0]) is nn.Identity
    assert type(model[1]) is nn.Sequential
    assert type(model[1][0]) is nn.Conv2d
    assert repr(replacer) == "<ModuleReplacer: 3 rule(s)>"
    assert repr(replacer.rules[0]) == "<ModuleReplacementRule: LinearFilter => ToIdentity>"


def test_a_root_changed_in_place_is_searched():
    replacer = ModuleReplacer()
    replacer.add_rule(ModelFilter(), RegLossTransformer())
    replacer.add_rule(LinearFilter(), ToIdentity())
    model = replacer.apply(nn.Sequential(nn.Linear(2, 2)))
    assert type(model[0]) is nn.Identity
    assert model.reg_loss().item() == 0


@pytest.mark.parametrize("arguments", [(1,), (LinearFilter(),), (LinearFilter(), 3), (ToIdentity(), LinearFilter())])
def test_a_rule_that_is_none_is_a_type_error(arguments):
    with pytest.raises(TypeError, match="ModuleFilter and a ModuleTransformer"):
        ModuleReplacer().add_rule(*arguments)


def test_conversion_refuses_what_is_not_an_ungrouped_convolution():
    replacer = BSConvUReplacer()
    replacer.rules[0].filter = LinearFilter()
    with pytest.raises(UsageError, match="only an ungrouped Conv2d"):
        replacer.apply(nn.Sequential(nn.Linear(2, 2)))


@pytest.mark.parametrize(("verbosity", "lines"), [(0, 0), (1, 1), (2, 3)])
def test_verbosity_goes_to_the_log(verbosity, lines, caplog, capsys):
    with caplog.at_level(logging.INFO, logger="bsconv_nas.nn.replacers"):
        BSConvUReplacer(verbosity=verbosity).apply(nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 8, 5)))
    assert len(caplog.records) == lines
    assert capsys.readouterr().out == ""
    if lines:
        assert caplog.messages[-1] == "BSConvUReplacer altered 2 modules; parameters 956 -> 296 (31.0%)"


def test_report_counts_parameters():
    replacer = BSConvUReplacer()
    replacer.apply(nn.Sequential(nn.Conv2d(4, 4, 3)))
    (row,) = replacer.report
    assert (row.old_type, row.new_type, row.params_before, row.params_after) == ("Conv2d", "BSConvU", 148, 56)
    assert row.error is None


def blueprint_convolution(basis: int | None = None) -> nn.Conv2d:
    """A convolution that a blueprint one can equal, its rows in a subspace of `basis` dimensions."""
    conv = nn.Conv2d(12, 10, 3, padding=1, padding_mode="reflect").double()
    rows = (
        torch.randn(10, 12).double()
        if basis is None
        else torch.randn(10, basis).double() @ torch.randn(basis, 12).double()
    )
    with torch.no_grad():
        conv.weight.copy_((rows[:, :, None] * torch.randn(10, 1, 9)).reshape(10, 12, 3, 3))
    return conv


@pytest.mark.parametrize(
    ("replacer", "basis"), [(BSConvUReplacer(init="svd"), None), (BSConvSReplacer(p=0.5, init="svd"), 6)]
)
def test_svd_equals_a_convolution_that_can_be_equalled(replacer, basis):
    torch.manual_seed(1)
    conv = blueprint_convolution(basis)
    x = torch.randn(2, 12, 7, 7, dtype=torch.float64)
    expected = conv(x)
    made = replacer.apply(nn.Sequential(conv))[0]
    torch.testing.assert_close(made(x), expected, rtol=1e-9, atol=1e-9)
    assert replacer.report[0].error < 1e-9


def test_svd_error_of_u_is_the_least_possible():
    conv = nn.Conv2d(12, 10, 5)
    singular = torch.linalg.svdvals(conv.weight.detach().double().flatten(2))
    least = ((singular[:, 1:] ** 2).sum() ** 0.5 / conv.weight.norm()).item()
    replacer = BSConvUReplacer(init="svd")
    made = replacer.apply(conv)
    assert replacer.report[0].error == pytest.approx(least, rel=1e-6)
    effective = made.pw.weight[:, :, 0, 0][:, :, None, None] * made.dw.weight
    assert ((effective - conv.weight).norm() / conv.weight.norm()).item() == pytest.approx(least, rel=1e-5)
    assert torch.equal(made.dw.bias, conv.bias)


def test_svd_of_s_has_orthonormal_rows_and_improves_with_p():
    torch.manual_seed(2)
    conv = nn.Conv2d(32, 24, 3)
    errors = []
    for p in (0.125, 0.25, 0.5, 1.0):
        replacer = BSConvSReplacer(p=p, init="svd")
        model = replacer.apply(nn.Sequential(copy.deepcopy(conv)))
        assert model.reg_loss().item() < 1e-5
        errors.append(replacer.report[0].error)
    assert errors == sorted(errors, reverse=True)
    least = BSConvUReplacer(init="svd")
    least.apply(nn.Sequential(copy.deepcopy(conv)))
    assert errors[-1] == pytest.approx(least.report[0].error, rel=1e-9)
    assert errors[0] > errors[-1]


def test_svd_of_s_beats_the_plain_truncation():
    torch.manual_seed(3)
    conv = nn.Conv2d(32, 24, 3)
    w = conv.weight.detach().double().flatten(2)
    u, s, vh = torch.linalg.svd(w, full_matrices=False)
    rows = u[:, :, 0] * s[:, :1]
    basis = torch.linalg.svd(rows)[2][:8]
    plain = float((w - (rows @ basis.T @ basis)[:, :, None] * vh[:, :1]).norm() / w.norm())
    replacer = BSConvSReplacer(p=0.25, init="svd")
    replacer.apply(nn.Sequential(conv))
    assert replacer.report[0].error < plain


def test_svd_of_zero_weights_and_of_a_subspace_wider_than_the_output():
    zero = nn.Conv2d(8, 8, 3)
    nn.init.zeros_(zero.weight)
    replacer = BSConvSReplacer(p=0.75, init="svd")
    model = replacer.apply(nn.Sequential(zero, nn.Conv2d(8, 3, 3)))
    assert replacer.report[0].error == 0
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert model.reg_loss().item() < 1e-5


def test_svd_keeps_half_precision():
    replacer = BSConvUReplacer(init="svd")
    model = replacer.apply(nn.Sequential(nn.Conv2d(8, 8, 3)).to(torch.bfloat16))
    assert model[0].pw.weight.dtype == torch.bfloat16
    assert 0 < replacer.report[0].error < 1


def test_svd_needs_weights():
    with pytest.raises(UsageError, match="weights of 0 are on the meta device"):
        BSConvUReplacer(init="svd").apply(nn.Sequential(nn.Conv2d(4, 4, 3, device="meta")))
    conv = nn.Conv2d(4, 4, 3)
    nn.init.constant_(conv.weight, float("nan"))
    with pytest.raises(UsageError, match="weights of the model are not finite"):
        BSConvSReplacer(init="svd").apply(conv)
    with pytest.raises(UsageError, match="init is 'rank'"):
        BSConvUReplacer(init="rank")


class _Wrap(ModuleTransformer):
    def apply(self, module, name, full_name):
        return nn.Sequential(module)

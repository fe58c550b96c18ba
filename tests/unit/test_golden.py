"""Outputs, losses and gradients of the original bsconv library (0.4.0), recorded and live.

All tensors of a model are filled by a rule without random numbers: tensor k, element j gets a hash of (j, k). k counts
the floating-point tensors in the order of the state dict ("state"), or of first execution ("exec").
"""

import csv
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bsconv_nas.models import get_model, known_models
from bsconv_nas.nn import BSConvS, BSConvSReplacer, BSConvU, BSConvUReplacer, orthonormal_loss

DATA = Path(__file__).parent.parent / "data"
CASES = json.loads((DATA / "golden_cases.json").read_text())
with (DATA / "golden_scalars.csv").open() as stream:
    ROWS = list(csv.DictReader(stream))

# Their training in float64 takes seconds, so by default only their outputs are compared.
BIG = {
    "resnet10",
    "resnet10_bsconvu",
    "cifar_mobilenetv1_w1d2",
    "cifar_mobilenetv2_w5d4",
    "cifar_mobilenetv3_small_w1",
    "cifar_mobilenetv3_small_w2_bsconvs_p1d6",
    "cifar_wrn40_3_bsconvu",
}

TOY_REPLACERS = {
    "toy_u": BSConvUReplacer,
    "toy_u_bn": lambda: BSConvUReplacer(with_bn=True),
    "toy_s": BSConvSReplacer,
    "toy_s_p1d8_bn": lambda: BSConvSReplacer(p=1 / 8, with_bn=True),
}


class Toy(nn.Module):
    """Convolutions that replacers must take and such that they must leave."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 7, padding=3, bias=False)
        self.a = nn.Sequential(nn.Conv2d(16, 24, 3, stride=2, padding=1), nn.BatchNorm2d(24), nn.ReLU())
        self.g = nn.Conv2d(24, 24, 3, padding=1, groups=4)
        self.b = nn.Module()
        self.b.x = nn.Conv2d(24, 20, 5, padding=2, bias=False, padding_mode="reflect")
        self.b.y = nn.Conv2d(24, 20, 1)
        self.r = nn.Conv2d(20, 12, (3, 5), padding=(1, 2))
        self.d = nn.Conv2d(12, 40, 3, padding=2, dilation=2)
        self.head = nn.Linear(40, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.g(self.a(self.stem(x)))
        x = self.d(self.r(self.b.x(x) + self.b.y(x)))
        return self.head(x.mean((2, 3)))


def stream_values(k: int, count: int) -> np.ndarray:
    """Elements 0 to count of stream k, float64 in (-1, 1)."""
    with np.errstate(over="ignore"):
        h = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B1)
        h = h + np.uint32(k) * np.uint32(0x85EBCA77) + np.uint32(0x165667B1)
        for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
            h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
        h ^= h >> np.uint32(15)
    return 2 * (h.astype(np.float64) + 0.5) / 2**32 - 1


def tensors_in_order(model: nn.Module, order: str, example: Tensor) -> list[Tensor]:
    if order == "state":
        return [tensor for tensor in model.state_dict().values() if tensor.is_floating_point()]
    seen: dict[nn.Module, None] = {}
    leaves = [module for module in model.modules() if next(module.children(), None) is None]
    hooks = [leaf.register_forward_pre_hook(lambda module, _: seen.setdefault(module)) for leaf in leaves]
    with torch.no_grad():
        model.eval()(example)
    for hook in hooks:
        hook.remove()
    return [tensor for leaf in seen for tensor in leaf.state_dict().values() if tensor.is_floating_point()]


def fill(model: nn.Module, order: str, shape: tuple[int, ...]) -> None:
    model.double()
    for k, tensor in enumerate(tensors_in_order(model, order, torch.zeros(shape, dtype=torch.float64)), start=1):
        values = torch.from_numpy(stream_values(k, tensor.numel())).reshape(tensor.shape)
        fan_in = tensor.numel() // tensor.shape[0]
        tensor.copy_(values * (3 / fan_in) ** 0.5 if tensor.ndim > 1 else 1 + 0.25 * values)


def example_of(shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(stream_values(0, int(np.prod(shape)))).reshape(shape)


def build_case(kind: str, case: str) -> nn.Module:
    if kind == "module":
        cls = BSConvU if case in CASES["BSConvU"] else BSConvS
        arguments = CASES[cls.__name__][case]
        return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in arguments.items()})
    return get_model(case, 10) if kind == "model" else TOY_REPLACERS[case]().apply(Toy())


@cache
def golden_outputs() -> dict[str, np.ndarray]:
    with np.load(DATA / "golden_outputs.npz") as archive:
        return dict(archive)


def train_loss_and_gradient(
    model: nn.Module, kind: str, shape: tuple[int, ...], regularised: bool
) -> tuple[float, float]:
    out = model.train()(example_of((4, *shape[1:])))
    loss = out.square().mean() if kind == "module" else nn.functional.cross_entropy(out, torch.arange(4))
    if regularised:
        loss = loss + orthonormal_loss(model)
    loss.backward()
    gradients = [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
    return loss.item(), torch.cat(gradients).norm().item()


def test_the_fill_rule_has_its_control_values():
    assert stream_values(0, 4).tolist() == [
        -0.3381372301373631,
        -0.041722825495526195,
        0.49151000776328146,
        0.9861489764880389,
    ]
    assert stream_values(1, 1).tolist() == [0.7632746247109026]


def test_all_fifty_cases_are_there():
    assert len(ROWS) == len(golden_outputs()) == 100
    assert len({row["case"] for row in ROWS}) == 50


def rows_in(order: str) -> list[dict[str, str]]:
    return [row for row in ROWS if row["fill_order"] == order]


def check_outputs(row: dict[str, str]) -> nn.Module:
    kind, case, order = row["kind"], row["case"], row["fill_order"]
    shape = shape_of(row)
    model = build_case(kind, case)
    fill(model, order, shape)
    with torch.no_grad():
        out = model.eval()(example_of(shape)).numpy()
        reg_loss = orthonormal_loss(model).item()
    np.testing.assert_allclose(out, golden_outputs()[f"{case}|{order}"], rtol=1e-9, atol=1e-9)
    assert reg_loss == pytest.approx(float(row["reg_loss"] or 0), rel=1e-9)
    return model


def check_training(row: dict[str, str], model: nn.Module) -> None:
    regularised = row["kind"] != "module" and row["reg_loss"] != ""
    loss, gradient = train_loss_and_gradient(model, row["kind"], shape_of(row), regularised)
    assert loss == pytest.approx(float(row["train_loss"]), rel=1e-9)
    assert gradient == pytest.approx(float(row["grad_norm"]), rel=1e-9)


def shape_of(row: dict[str, str]) -> tuple[int, ...]:
    return tuple(int(side) for side in row["input_shape"].split("x"))


@pytest.mark.parametrize("row", rows_in("state"), ids=lambda row: row["case"])
def test_golden(row):
    model = check_outputs(row)
    if row["case"] not in BIG:
        check_training(row, model)


@pytest.mark.long
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['case']}-{row['fill_order']}")
def test_golden_of_both_orders_with_all_training(row):
    check_training(row, check_outputs(row))


@pytest.fixture(scope="module")
def original():
    return pytest.importorskip("bsconv.pytorch", reason="needs the original library: pip install bsconv==0.4.0")


LIVE_MODELS = [
    name for name in known_models() if not any(size in name for size in ("110", "302", "602", "_8", "_10", "_12"))
]


def same_weights(original, name: str) -> None:
    torch.manual_seed(0)
    theirs = original.get_model(name, num_classes=7).state_dict()
    torch.manual_seed(0)
    ours = get_model(name.upper(), 7).state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("name", LIVE_MODELS[::20])
def test_live_same_initial_weights(original, name):
    same_weights(original, name)


@pytest.mark.long
@pytest.mark.parametrize("name", known_models())
def test_live_same_initial_weights_of_all(original, name):
    same_weights(original, name)


@pytest.mark.parametrize(
    "name", ["cifar_preresnet20_bsconvs_p2d7", "cifar_mobilenetv3_large_w3d5_bsconvs_p1d6", "preresnet18_bsconvu"]
)
def test_live_same_outputs_and_regularisation(original, name):
    theirs, ours = original.get_model(name, num_classes=10), get_model(name, 10)
    shape = (2, 3, 32, 32)
    for model in (theirs, ours):
        fill(model, "state", shape)
    with torch.no_grad():
        x = example_of(shape)
        torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-9, atol=1e-9)
        if "bsconvs" in name:
            torch.testing.assert_close(ours.reg_loss(), theirs.reg_loss(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["U", "S"])
def test_live_same_modules(original, kind):
    theirs, ours = getattr(original, f"BSConv{kind}"), {"U": BSConvU, "S": BSConvS}[kind]
    for arguments in (
        {"padding": "same", "dilation": 2},
        {"stride": 2, "padding": 1, "padding_mode": "circular", "with_bn": True, "bn_kwargs": {"affine": False}},
    ):
        pair = [cls(20, 9, 3, **arguments) for cls in (theirs, ours)]
        for layer in pair:
            fill(layer, "state", (2, 20, 8, 8))
        x = example_of((2, 20, 8, 8))
        torch.testing.assert_close(pair[1](x), pair[0](x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("kind", "with_bn"), [("U", False), ("U", True), ("S", False), ("S", True)])
def test_live_same_replacements_of_torchvision_models(original, kind, with_bn):
    torchvision = pytest.importorskip("torchvision")
    theirs = getattr(original, f"BSConv{kind}_Replacer")(with_bn=with_bn)
    ours = {"U": BSConvUReplacer, "S": BSConvSReplacer}[kind](with_bn=with_bn)
    states = []
    for replacer in (theirs, ours):
        torch.manual_seed(0)
        states.append(replacer.apply(torchvision.models.resnet18(num_classes=5)).state_dict())
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])

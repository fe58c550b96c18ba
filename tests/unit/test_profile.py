"""Counts of parameters, FLOPs and MACs."""

import csv
import io
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bsconv_nas.errors import UsageError
from bsconv_nas.models import get_model
from bsconv_nas.nn.profile import ModelProfiler

with (Path(__file__).parent.parent / "data" / "reference_profile.csv").open() as stream:
    REFERENCE = list(csv.DictReader(stream))

# The very deep ones take seconds each.
SAMPLE = [row for row in REFERENCE if not any(depth in row["model"] for depth in ("302", "602"))][::6]


def counts(profile: ModelProfiler) -> tuple[int, int, int]:
    return profile.total_parameter_count, profile.total_flop_count, profile.total_macs


def check_reference(row: dict[str, str]) -> None:
    with torch.device("meta"):
        model = get_model(row["model"], int(row["num_classes"]))
    size = tuple(int(side) for side in row["input_size"].split("x"))
    assert counts(ModelProfiler(model, size)) == (int(row["params"]), int(row["flops"]), int(row["macs"]))


def identifier(row: dict[str, str]) -> str:
    return f"{row['model']}-{row['num_classes']}"


@pytest.mark.parametrize("row", SAMPLE, ids=identifier)
def test_reference_counts(row):
    check_reference(row)


@pytest.mark.long
@pytest.mark.parametrize("row", REFERENCE, ids=identifier)
def test_reference_counts_of_all(row):
    check_reference(row)


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, (3, 5), padding=(1, 2), groups=8, bias=False),
        nn.BatchNorm2d(8, affine=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(8, 10),
    )


def test_each_rule_by_hand():
    profile = ModelProfiler(small(), (2, 3, 16, 16))
    macs = [2 * 8 * 64 * 27, 0, 0, 0, 2 * 8 * 16 * 15, 0, 0, 0, 0, 2 * 80]
    others = [2 * 8 * 64, 2 * 2 * 8 * 64, 2 * 8 * 64, 2 * 8 * 64, 0, 2 * 8 * 16, 2 * 8 * 16, 0, 0, 2 * 10]
    assert [row.macs for row in profile.rows] == [*macs, sum(macs)]
    assert [row.flops for row in profile.rows] == [
        *(a + b for a, b in zip(macs, others, strict=True)),
        sum(macs + others),
    ]
    assert [row.params for row in profile.rows] == [224, 16, 0, 0, 120, 0, 0, 0, 0, 90, 450]
    assert profile.rows[4].info == "5x3 DW"
    assert (profile.rows[0].in_shape, profile.rows[0].out_shape) == ((3, 16, 16), (8, 8, 8))
    assert profile.uncounted == ()


def test_frozen_parameters_are_not_counted():
    model = small()
    model[9].requires_grad_(False)
    assert ModelProfiler(model, (1, 3, 16, 16)).total_parameter_count == 450 - 90


@pytest.mark.filterwarnings("ignore:FLOP counting is not implemented")
def test_live_same_counts():
    original = pytest.importorskip("bsconv.pytorch", reason="needs the original library: pip install bsconv==0.4.0")
    for model, size in ((small(), (2, 3, 16, 16)), (get_model("cifar_mobilenetv3_small_w1d2", 10), (2, 3, 32, 32))):
        theirs = original.ModelProfiler(model, size)
        ours = ModelProfiler(model, size)
        assert (ours.total_parameter_count, ours.total_flop_count) == (
            theirs.total_parameter_count,
            theirs.total_flop_count,
        )
        rows = {row.name: row for row in ours.rows}
        for name, result in theirs.module_results.items():
            row = rows[name]
            assert (row.params, row.flops) == (result["parameter_count"], result["flop_count"])
            assert (row.in_shape, row.out_shape) == (result["in_shape"], result["out_shape"])
            assert row.info == result.get("info", "")


class Recorder(nn.Module):
    """Keeps what it got; changes a buffer, and adds one, also in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))
        self.register_buffer("same", torch.ones(1))
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.fail = False

    def forward(self, x: Tensor) -> Tensor:
        self.x = x
        self.seen += 1
        self.same = self.same + 1
        self.register_buffer("late", torch.zeros(1))
        torch.rand(1)
        y = self.bn(self.conv(x))
        if self.fail:
            raise RuntimeError("no")
        return y


def fingerprint(model: nn.Module) -> object:
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    state = {key: value.tolist() for key, value in model.state_dict().items()}
    return [m.training for m in model.modules()], hooks, state, torch.get_rng_state().tolist()


@pytest.mark.parametrize("fail", [False, True])
def test_bug_5_and_9_the_model_is_left_as_it_was(fail):
    model = Recorder()
    model.conv.eval()
    model.fail = fail
    same = model.same
    before = fingerprint(model)
    if fail:
        with pytest.raises(RuntimeError, match="no"):
            ModelProfiler(model, (2, 3, 8, 8))
    else:
        ModelProfiler(model, (2, 3, 8, 8))
    assert fingerprint(model) == before
    assert model.same is same
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.is_grad_enabled()
    assert model.conv.weight.grad is None


def test_bug_5_the_input_is_defined():
    model = Recorder()
    ModelProfiler(model, (2, 3, 8, 8))
    assert torch.equal(model.x, torch.zeros(2, 3, 8, 8))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_bug_6_any_dtype(dtype):
    model = small().to(dtype)
    assert counts(ModelProfiler(model, (1, 3, 16, 16))) == counts(ModelProfiler(small(), (1, 3, 16, 16)))


def test_bug_6_meta_models_and_integer_inputs():
    assert counts(ModelProfiler(small().to("meta"), (1, 3, 16, 16))) == counts(ModelProfiler(small(), (1, 3, 16, 16)))
    model = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 3))
    profile = ModelProfiler(model, (2, 5), input_dtype=torch.long)
    assert (profile.total_macs, profile.total_parameter_count) == (2 * 5 * 12, 55)
    assert ModelProfiler(nn.ReLU(), (1, 4), input_device="meta").total_flop_count == 4


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_bug_6_cuda_models():
    for model in (small(), get_model("cifar_resnet20_bsconvs_p1d4", 10)):
        expected = counts(ModelProfiler(model, (2, 3, 32, 32)))
        assert counts(ModelProfiler(model.cuda().half(), (2, 3, 32, 32))) == expected


class Uneven(nn.Module):
    """One convolution called twice and also in a second parent, one never called, and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.other = nn.Sequential(self.conv, nn.ReLU())
        self.idle = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.conv(self.conv(x)))


def test_bug_7_shared_idle_and_repeated_modules():
    profile = ModelProfiler(Uneven(), (1, 4, 5, 5))
    once = 25 * 16
    assert profile.total_macs == 3 * once
    assert profile.total_flop_count == once + 100 + 100
    assert profile.total_parameter_count == 20 + 20 + 3
    rows = {row.name: row for row in profile.rows}
    assert (rows["conv"].calls, rows["idle"].calls, rows["idle"].out_shape) == (3, 0, None)
    assert [(entry.type, entry.names) for entry in profile.uncounted] == [("Conv2d", ("conv",)), ("Linear", ("idle",))]
    assert "last call only" in profile.uncounted[0].what
    assert "did not run" in profile.uncounted[1].what


def test_bug_8_other_dimensions():
    assert ModelProfiler(nn.Linear(3, 5), (4, 3, 3)).total_flop_count == 4 * 3 * 15 + 60
    assert ModelProfiler(nn.Linear(3, 5), (3,)).total_macs == 15
    assert ModelProfiler(nn.Conv1d(4, 6, 3, groups=2), (2, 4, 10)).total_flop_count == 2 * 6 * 8 * (6 + 1)
    assert ModelProfiler(nn.Conv3d(2, 3, 3), (1, 2, 5, 5, 5)).total_macs == 3 * 27 * 2 * 27
    transposed = ModelProfiler(nn.ConvTranspose2d(4, 6, 2, stride=2), (1, 4, 5, 5))
    assert (transposed.total_macs, transposed.total_flop_count) == (25 * 4 * 6 * 4, 25 * 4 * 6 * 4 + 6 * 100)


CLASSIFIERS = [
    "alexnet",
    "vgg11_bn",
    "googlenet",
    "inception_v3",
    "densenet121",
    "mobilenet_v3_large",
    "efficientnet_b0",
    "regnet_y_400mf",
    "shufflenet_v2_x1_0",
    "squeezenet1_1",
    "convnext_tiny",
    "vit_b_16",
    "swin_t",
    "maxvit_t",
]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_bug_7_and_8_torchvision_classifiers(name):
    models = pytest.importorskip("torchvision.models")
    arguments = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = models.get_model(name, **arguments).to("meta")
    side = 299 if name == "inception_v3" else 224
    profile = ModelProfiler(model, (1, 3, side, side))
    products = sum(entry.macs for entry in profile.uncounted if entry.what.startswith("products"))
    # torchvision publishes the operations that fvcore counts, attention included.
    published = models.get_model_weights(name).DEFAULT.meta["_ops"]
    assert (profile.total_macs + products) / 1e9 == pytest.approx(published, abs=6e-4)
    assert (products > 0) == (name in ("vit_b_16", "swin_t", "maxvit_t"))
    assert profile.total_parameter_count == sum(parameter.numel() for parameter in model.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros((1, 3, side, side), device="meta"))
    assert counter.get_total_flops() == 2 * (profile.total_macs + products)


def test_attention_counts_the_same_on_the_cpu_and_with_gradients():
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    on_cpu = ModelProfiler(layer, (3, 7, 16))
    assert on_cpu.total_macs == 3 * 7 * (4 * 16 * 16 + 2 * 16 * 32)
    assert counts(ModelProfiler(layer.to("meta"), (3, 7, 16))) == counts(on_cpu)


class Functional(nn.Module):
    """Layers without modules, one on strided input."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6, 4, 3, 3))
        self.matrix = nn.Parameter(torch.ones(5, 6))

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.conv2d(x, self.weight).flatten(2).transpose(1, 2)
        return nn.functional.linear(y[:, ::2], self.matrix)


def test_functional_layers_count_for_their_module():
    profile = ModelProfiler(Functional(), (2, 4, 6, 6))
    macs = 2 * 6 * 16 * 36 + 2 * 8 * 30
    assert (profile.total_macs, profile.total_flop_count) == (macs, 0)
    (entry,) = profile.uncounted
    assert (entry.macs, entry.names) == (macs, ("(Total)",))
    assert "functional" in entry.what


def test_it_says_what_it_could_not_count():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4, 4))

        def forward(self, x: Tensor) -> Tensor:
            return (x[..., None] * self.weight).sum(-2)

    profile = ModelProfiler(nn.Sequential(Odd(), nn.GELU(), nn.GELU()), (2, 4))
    assert [(entry.type, entry.names, entry.macs) for entry in profile.uncounted] == [
        ("Odd", ("0",), None),
        ("GELU", ("1", "2"), None),
    ]
    assert "not counted: GELU 1 and 1 more" in str(profile)


def test_compiled_models_are_counted_by_their_modules():
    model = small()
    assert counts(ModelProfiler(torch.compile(model, backend="eager"), (1, 3, 16, 16))) == counts(
        ModelProfiler(model, (1, 3, 16, 16))
    )


def test_lazy_models_are_refused():
    with pytest.raises(UsageError, match="has no shape yet"):
        ModelProfiler(nn.Sequential(nn.LazyConv2d(4, 3)), (1, 3, 8, 8))


def test_bug_9_json_csv_and_table():
    profile = ModelProfiler(small(), (2, 3, 16, 16))
    value = json.loads(profile.to_json())
    assert (value["total_parameter_count"], value["total_flop_count"], value["total_macs"]) == counts(profile)
    assert value["rows"][-1]["name"] == "(Total)"
    assert value["rows"][-1]["macs"] == profile.total_macs
    assert value["schema_version"] == 1
    rows = list(csv.DictReader(io.StringIO(profile.to_csv())))
    assert [row["name"] for row in rows] == [row.name for row in profile.rows]
    assert rows[0]["out_shape"] == "8x8x8"
    assert int(rows[-1]["flops"]) == profile.total_flop_count
    table = str(profile).splitlines()
    assert len({len(line) for line in table}) == 1
    assert f"{profile.total_macs:,}" in table[-2]


def test_bug_9_numbers_have_separators():
    assert " 1,001,000 |" in str(ModelProfiler(nn.Linear(1000, 1000), (1, 1000)))

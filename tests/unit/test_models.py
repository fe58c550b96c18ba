"""The reference networks by name."""

import copy
import csv
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bsconv_nas.errors import UsageError
from bsconv_nas.models import get_model, known_models, listed_models, parse_name, published_results
from bsconv_nas.nn import orthonormal_loss

MOBILE_S = ["cifar_mobilenetv2_w1d4_bsconvs_p1d6", "cifar_mobilenetv3_small_w7d20_bsconvs_p1d6"]


def on_meta(name: str, num_classes: int | None = None):
    with torch.device("meta"):
        return get_model(name, num_classes)


def test_236_names_are_listed_and_six_more_are_known():
    assert len(listed_models()) == len(set(listed_models())) == 236
    extra = set(known_models()) - set(listed_models())
    assert extra == {f"cifar_wrn{d}_3{suffix}" for d in (28, 40) for suffix in ("", "_bsconvu", "_bsconvs_p1d4")}
    for name in known_models():
        parse_name(name)


@pytest.mark.parametrize(
    "name", ["mobilenetv1_w1d32", "cifar_wrn28_5_bsconvs_p0d3", "mobilenetv3_large_w9d7", "PreResNet18_BSConvU"]
)
def test_the_grammar_allows_more_than_the_list(name):
    assert on_meta(name, 3)(torch.zeros(2, 3, 64, 64, device="meta")).shape == (2, 3)


def test_upper_and_lower_case_are_the_same():
    assert parse_name("CIFAR_WRN16_2_BSConvS_p1d8") == parse_name("cifar_wrn16_2_bsconvs_p1d8")


def test_image_size_classes_and_channels():
    assert on_meta("cifar_resnet20").in_size == (32, 32)
    assert on_meta("resnet18").in_size == (224, 224)
    with torch.device("meta"):
        model = get_model("mobilenetv3_small_w1", 5, in_channels=1)
    assert model(torch.zeros(1, 1, 64, 64, device="meta")).shape == (1, 5)


@pytest.mark.parametrize("arguments", [{"num_classes": 0}, {"in_channels": 0}])
def test_numbers_below_one_are_an_error(arguments):
    with pytest.raises(UsageError, match="at least 1"):
        get_model("cifar_resnet20", **arguments)


BAD_NAMES = {
    "cifar_resnet20_bsconvs_p3d2": ("outside of 0 to 1", "cifar_resnet20_bsconvs_p1d4"),
    "cifar_resnet20_bsconvs_p1d0": ("divides by zero", "cifar_resnet20_bsconvs_p1d4"),
    "mobilenetv1_w1d0": ("divides by zero", "mobilenetv1_w1d2"),
    "mobilenetv1_w0": ("without channels", "mobilenetv1_w1"),
    "mobilenetv2_w1d17": ("allowed from w1d16", "mobilenetv2_w1"),
    "mobilenetv3_small_w1d5": ("allowed from w1d4", "mobilenetv3_small_w1"),
    "cifar_wrn16_0": ("allowed from 1", "cifar_wrn16_10"),
    "cifar_mobilenetv2_w1_bsconvs": ("end at most in a variant", "cifar_mobilenetv2_w1_bsconvs_p1d6"),
    "mobilenetv1_w5d4_bsconvs_p1d6": ("only variant of MobileNetv1 is _bsconvu", "mobilenetv1_w5d4_bsconvu"),
    "MobileNetV2_w1_bsconvu": ("only variant of MobileNetv2 is _bsconvs_p1d6", "mobilenetv2_w1_bsconvs_p1d6"),
    "resnet50": ("allowed for it are 10, 18, 26, 34, 68, 102", "resnet10"),
    "cifar_resnet18": ("allowed for it are 20, 56, 110, 302, 602", "cifar_resnet110"),
    "wrn16_2": ("WRNs are cifar_wrn", "cifar_wrn16_2"),
    "mobilnetv2_w1": ("allowed are MobileNets", "mobilenetv2_w1"),
    "resnet18\n": ("allowed are MobileNets", "resnet18"),
}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bug_zoo_bad_names_are_clear_value_errors_that_name_the_nearest(name):
    reason, nearest = BAD_NAMES[name]
    with pytest.raises(ValueError, match="is unknown") as caught:
        get_model(name, 10)
    assert reason in str(caught.value)
    assert re.search(r"nearest valid name is '(\w+)'$", str(caught.value))[1].startswith(nearest)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_nearest_name_is_always_valid(data):
    name = data.draw(st.sampled_from(known_models()))
    cut = data.draw(st.integers(0, len(name)))
    name = name[:cut] + data.draw(st.text("abdpsuw0123_", max_size=4)) + name[cut + 1 :]
    try:
        parse_name(name)
    except UsageError as error:
        parse_name(re.search(r"nearest valid name is '(\w+)'$", str(error))[1])


def test_every_valid_name_builds_or_is_refused_with_a_reason():
    for text in ("mobilenetv1_w1d32", "mobilenetv2_w1d16", "mobilenetv3_small_w1d4", "mobilenetv3_large_w1d16"):
        assert all(0 not in tensor.shape for tensor in on_meta(text).state_dict().values() if tensor.ndim)


def test_bug_zoo_number_of_classes_has_a_default():
    assert on_meta("resnet34_bsconvs_p1d4").classifier.conv.out_channels == 1000
    assert on_meta("cifar_resnet20").classifier.conv.out_channels == 10


@pytest.mark.parametrize("name", MOBILE_S)
def test_bug_1_copies_of_mobilenets_use_their_own_weights(name):
    model = get_model(name, 10)
    twin = copy.deepcopy(model)
    before = model.reg_loss().item()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(2)
    assert model.reg_loss().item() == before
    assert twin.reg_loss().item() > before
    twin.reg_loss().backward()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert sum(parameter.grad is not None for parameter in twin.parameters()) == len(projections(twin))


@pytest.mark.parametrize("name", [*MOBILE_S, "cifar_resnet20_bsconvs_p1d4"])
def test_bug_2_whole_models_can_be_saved_and_loaded(name, tmp_path):
    model = get_model(name, 10)
    torch.save(model, tmp_path / "model.pt")
    assert torch.equal(torch.load(tmp_path / "model.pt", weights_only=False).reg_loss(), model.reg_loss())


@pytest.mark.parametrize("name", MOBILE_S)
def test_bug_3_wrapped_networks_are_regularised(name):
    model = get_model(name, 10)
    for wrapper in (nn.DataParallel(model), torch.optim.swa_utils.AveragedModel(model)):
        assert torch.equal(orthonormal_loss(wrapper), model.reg_loss())


def projections(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if hasattr(module, "orthonormal_weight")]


def test_mobilenet_projections_are_what_is_regularised():
    model = get_model(MOBILE_S[0], 10)
    assert len(projections(model)) == 17
    for module in projections(model):
        assert module.orthonormal_weight().shape == (module.conv.out_channels, module.conv.in_channels)
    assert "OrthonormalConvUnit" in str(model)
    assert get_model("cifar_mobilenetv2_w1d4", 10).reg_loss().item() == 0


TRACED = ["cifar_resnet20_bsconvs_p1d4", MOBILE_S[1]]


@pytest.mark.parametrize("name", TRACED)
def test_networks_can_be_traced_and_compiled(name):
    model = get_model(name, 10).eval()
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        expected = model(x)
        assert torch.equal(torch.fx.symbolic_trace(model)(x), expected)
        assert torch.equal(torch.compile(model, backend="eager")(x), expected)
        torch.testing.assert_close(model.to(memory_format=torch.channels_last)(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("name", TRACED)
def test_networks_can_be_exported(name):
    model = get_model(name, 10).eval()
    x = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), model(x))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning", "ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("name", ["cifar_preresnet20", *MOBILE_S])
def test_bug_zoo_networks_can_be_scripted(name):
    model = get_model(name, 10).eval()
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(model)(x), model(x))


def test_published_results_are_of_known_models():
    results = published_results()
    assert len(results) == 211
    assert {result.model for result in results} <= set(known_models())
    assert {result.dataset for result in results} == {"cifar10", "cifar100"}
    assert all(0.3 < result.top1 < 1 for result in results)
    first = results[0]
    assert (first.model, first.top1, first.params, first.macs) == ("cifar_mobilenetv1_w1", 0.9357, 3217232, 175556608)


def test_published_costs_are_those_of_the_networks(reference_counts):
    for result in published_results():
        row = reference_counts[result.model, 10 if result.dataset == "cifar10" else 100]
        assert (result.params, result.macs) == (row["params"], row["macs"])


@pytest.fixture(scope="module")
def reference_counts():
    with (Path(__file__).parent.parent / "data" / "reference_profile.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return {(row["model"], int(row["num_classes"])): {key: int(row[key]) for key in ("params", "macs")} for row in rows}

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from bsconv_nas.errors import ArchError
from bsconv_nas.networks.arch import ArchSpec, BlockSpec, HeadSpec, LayerSpec, StemSpec

LAYER = LayerSpec("U", 8)
BLOCK = BlockSpec((LAYER,))
STEM = StemSpec(8)
ARCH = ArchSpec(
    (32, 24),
    10,
    StemSpec(8, kernel_size=5, stride=2, activation="silu"),
    (
        BlockSpec((LayerSpec("S", 16, 7, 2, 0.25, True, True, "hardswish"), LayerSpec("U", 16)), "projection"),
        BlockSpec((LayerSpec("U", 16, activation="relu6"),), "identity"),
    ),
    HeadSpec(32, "relu", 0.2),
    in_channels=1,
)
NO_INT = (0, -1, 16_385, 10**400, 10**5_000, True, 8.0, "8", None, [8], float("nan"))
NO_NAME = ("tanh", "", "RELU", None, 0, True, ["relu"], {"relu": 1}, 10**5_000, "x" * 10_000)

BAD_VALUES: list[tuple[Callable[..., Any], str, tuple[Any, ...]]] = [
    (lambda v: LayerSpec(v, 8), "layer type", ("u", "T", "", None, 1, True, ["U"], {"U": 1}, 10**5_000)),
    (lambda v: LayerSpec("U", v), "out_channels", NO_INT),
    (lambda v: LayerSpec("U", 8, v), "kernel_size", (0, 2, 4, -3, 33, True, 3.0, "3", None, (3, 3), 10**400 + 1)),
    (lambda v: LayerSpec("U", 8, stride=v), "stride", (0, 3, -1, True, 1.0, 2.0, "1", None, (1, 1))),
    (
        lambda v: LayerSpec("S", 8, p=v),
        "p of a S layer",
        (None, 0, -0.5, 1.001, float("nan"), float("inf"), True, "1/4", 10**400, []),
    ),
    (lambda v: LayerSpec("U", 8, p=v), "p of a U layer", (0.25, 0, 1, False, "", [])),
    (lambda v: LayerSpec("U", 8, inner_bn=v), "inner_bn", (0, 1, None, "true", [])),
    (lambda v: LayerSpec("U", 8, se=v), "se", (0, 1, None, "true", [])),
    (lambda v: LayerSpec("U", 8, activation=v), "activation", NO_NAME),
    (BlockSpec, "layers of a block", ([LAYER], LAYER, None, "U", (LAYER, None), (BLOCK,))),
    (BlockSpec, "block", ((), (LAYER, LayerSpec("U", 8, stride=2)))),
    (lambda v: BlockSpec((LAYER,), v), "shortcut", ("Identity", "", None, True, [], 10**5_000)),
    (StemSpec, "stem out_channels", NO_INT),
    (lambda v: StemSpec(8, v), "kernel_size", (2, 0, 33, True, None)),
    (lambda v: StemSpec(8, stride=v), "stride", (0, 3, True, None)),
    (lambda v: StemSpec(8, activation=v), "activation", NO_NAME),
    (HeadSpec, "head channels", (-1, 16_385, False, True, 0.0, 8.0, "0", None, [])),
    (lambda v: HeadSpec(8, v), "activation", NO_NAME),
    (lambda v: HeadSpec(dropout=v), "dropout", (1, 1.0, -0.1, True, False, None, "0", float("nan"), 10**400)),
    (
        lambda v: ArchSpec(v, 10, STEM, ()),
        "image_size",
        ((32,), (32, 32, 3), (0, 32), (32, 4_097), (True, 32), (32.0, 32), [32, 32], 32, None, "ab", (10**5_000, 1)),
    ),
    (lambda v: ArchSpec((32, 32), v, STEM, ()), "num_classes", NO_INT),
    (lambda v: ArchSpec((32, 32), 10, STEM, (), in_channels=v), "in_channels", NO_INT),
    (lambda v: ArchSpec((32, 32), 10, v, ()), "stem", (None, 8, LAYER)),
    (lambda v: ArchSpec((32, 32), 10, STEM, v), "blocks", (None, [BLOCK], BLOCK, (LAYER,))),
    (lambda v: ArchSpec((32, 32), 10, STEM, (), v), "head", (None, 0, STEM)),
    (lambda v: ArchSpec((32, 32), 10, STEM, v), "blocks", ((BLOCK,) * 1_001, (BlockSpec((LAYER,) * 501),) * 2)),
]


@pytest.mark.parametrize(
    ("make", "what", "value"),
    [
        pytest.param(make, what, value, id=f"{what}-{number}")
        for make, what, values in BAD_VALUES
        for number, value in enumerate(values)
    ],
)
def test_invalid_values_are_refused_with_a_short_line(make: Callable[..., Any], what: str, value: Any) -> None:
    with pytest.raises(ArchError, match=f"^{re.escape(what)} is .*; allowed: ") as caught:
        make(value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_limits_themselves_are_allowed() -> None:
    LayerSpec("S", 16_384, 31, 2, 1)
    HeadSpec(16_384, dropout=0.999)
    assert len(ArchSpec((1, 4_096), 1, STEM, (BLOCK,) * 1_000).layers) == 1_000


@pytest.mark.parametrize(
    "block",
    [BlockSpec((LayerSpec("U", 16),), "identity"), BlockSpec((LayerSpec("U", 8, stride=2),), "identity")],
    ids=["channels", "stride"],
)
def test_an_identity_shortcut_joins_equal_shapes_only(block: BlockSpec) -> None:
    with pytest.raises(ArchError, match=r"identity shortcut of block 1 .*projection"):
        ArchSpec((32, 32), 10, STEM, (BLOCK, block))
    ArchSpec((32, 32), 10, STEM, (BLOCK, dataclasses.replace(block, shortcut="projection")))


def test_values_cannot_be_changed() -> None:
    for value in (ARCH, ARCH.stem, ARCH.head, ARCH.blocks[0], ARCH.layers[0]):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, dataclasses.fields(value)[0].name, 1)


def test_derived_values() -> None:
    assert [layer.label for layer in ARCH.layers] == ["S-1/4", "U", "U"]
    assert LayerSpec("S", 8, p=1 / 6).label == "S-1/6"
    assert LayerSpec("S", 8, p=1).label == "S-1"
    assert [channels for channels, _ in ARCH.blocks_with_inputs()] == [8, 16]
    assert (ARCH.blocks[0].stride, ARCH.blocks[0].out_channels) == (2, 16)
    assert ARCH.features == 32
    assert dataclasses.replace(ARCH, head=HeadSpec()).features == 16
    assert dataclasses.replace(ARCH, head=HeadSpec(), blocks=()).features == 8


def test_the_stored_form_does_not_drift() -> None:
    """Studies and exports keep these texts and ids: a change here needs a new schema version."""
    arch = ArchSpec((8, 8), 2, STEM, (BlockSpec((LayerSpec("S", 8, p=0.25),)),))
    assert arch.to_json() == (
        '{"blocks":[{"layers":[{"activation":"relu","inner_bn":false,"kernel_size":3,"out_channels":8,"p":0.25,'
        '"se":false,"stride":1,"type":"S"}],"shortcut":"none"}],"head":{"activation":"relu","channels":0,'
        '"dropout":0.0},"image_size":[8,8],"in_channels":3,"num_classes":2,"schema_version":1,"stem":'
        '{"activation":"relu","kernel_size":3,"out_channels":8,"stride":1}}'
    )
    assert arch.arch_id == "7f3f30d14305"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (LayerSpec("S", 8, p=1), LayerSpec("S", 8, p=1.0)),
    ],
)
def test_equal_layers_give_one_identity(one: LayerSpec, other: LayerSpec) -> None:
    first, second = (ArchSpec((8, 8), 2, STEM, (BlockSpec((layer,)),)) for layer in (one, other))
    assert first == second
    assert first.arch_id == second.arch_id


@pytest.mark.parametrize("dropout", [0, 0.0, -0.0])
def test_equal_heads_give_one_identity(dropout: float) -> None:
    arch = ArchSpec((8, 8), 2, STEM, (), HeadSpec(dropout=dropout))
    assert arch.arch_id == ArchSpec((8, 8), 2, STEM, ()).arch_id


def test_every_field_counts_for_equality_and_identity() -> None:
    data = ARCH.to_dict()
    others = [{**data, "in_channels": 3}, {**data, "num_classes": 9}, {**data, "image_size": [24, 32]}]
    others += [{**data, "stem": {**data["stem"], "stride": 1}}, {**data, "head": {**data["head"], "dropout": 0.1}}]
    first, *rest = data["blocks"]
    layer, *more = first["layers"]
    for key, value in {
        "p": 0.5,
        "kernel_size": 5,
        "se": False,
        "inner_bn": False,
        "stride": 1,
        "activation": "relu",
    }.items():
        others.append({**data, "blocks": [{**first, "layers": [{**layer, key: value}, *more]}, *rest]})
    others.append({**data, "blocks": [{**first, "shortcut": "none"}, *rest]})
    specs = [ArchSpec.from_dict(other) for other in others]
    assert ARCH not in specs
    assert len({spec.arch_id for spec in [ARCH, *specs]}) == len(specs) + 1


def _text(**changes: Any) -> str:
    return json.dumps({**ARCH.to_dict(), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "architecture is not JSON"),
        ("{", "architecture is not JSON"),
        ("[]", "architecture is \\[\\]; allowed: a JSON object"),
        ("null", "allowed: a JSON object"),
        ("{}", "schema_version is None; allowed: 1"),
        (_text(schema_version=2), "schema_version is 2; allowed: 1; a newer file needs a newer bsconv-nas"),
        (_text(schema_version=True), "schema_version is True"),
        (_text(schema_version=1.0), "schema_version is 1.0"),
        (_text(steem={}), "unknown key 'steem'; did you mean 'stem'"),
        (_text(**{"x" * 1_000: 1}), "unknown key 'xxx"),
        (_text(stem={"out_chanels": 8}), "stem has an unknown key 'out_chanels'; did you mean 'out_channels'"),
        (_text(stem={}), "stem lacks 'out_channels'; required: out_channels$"),
        (_text(head=None), "head is None; allowed: a JSON object"),
        (_text(blocks={}), "blocks is {}; allowed: a JSON array"),
        (_text(blocks=[{}]), r"blocks\[0\] lacks 'layers'"),
        (_text(blocks=[{"layers": [{"type": "U"}]}]), r"blocks\[0\]\.layers\[0\] lacks 'out_channels'"),
        (
            _text(blocks=[{"layers": [{"type": "Q", "out_channels": 8}]}]),
            r"blocks\[0\]\.layers\[0\]: layer type is 'Q'",
        ),
        (_text(blocks=[{"layers": [], "shortcut": "none"}]), "block is 'no layers'"),
        (_text(blocks=[{"layer": []}]), "unknown key 'layer'; did you mean 'layers'"),
        (_text(image_size=32), "image_size is 32; allowed: a JSON array"),
        (_text().replace('"num_classes": 10', '"num_classes": ' + "9" * 5_000), "architecture is not JSON"),
        (_text().replace('"num_classes": 10', '"num_classes": 1e999'), "num_classes is inf"),
        (_text().replace('"num_classes": 10', '"num_classes": NaN'), "num_classes is nan"),
        ('{"schema_version":' + "[" * 100_000, "architecture is not JSON"),
        (" " * 1_000_001, "architecture file is '1000001 characters'; allowed: at most 1000000"),
    ],
)
def test_files_that_are_no_architecture_are_refused(text: str, message: str) -> None:
    with pytest.raises(ArchError, match=message) as caught:
        ArchSpec.from_json(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("key", ["image_size", "num_classes", "stem", "blocks"])
def test_required_keys(key: str) -> None:
    data = ARCH.to_dict()
    del data[key]
    with pytest.raises(ArchError, match=f"architecture lacks '{key}'"):
        ArchSpec.from_dict(data)


def test_optional_keys_have_the_defaults_of_the_constructor() -> None:
    data = {"schema_version": 1, "image_size": [8, 8], "num_classes": 2, "stem": {"out_channels": 8}}
    data["blocks"] = [{"layers": [{"type": "U", "out_channels": 8}]}]
    assert ArchSpec.from_dict(data) == ArchSpec((8, 8), 2, STEM, (BLOCK,))


@pytest.mark.parametrize("depth", [10, 500, 900, 960, 970, 980, 990])
def test_deep_nesting_in_any_field_is_refused(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    for key in ARCH.to_dict():
        text = json.dumps({**ARCH.to_dict(), key: "HERE"}).replace('"HERE"', nested)
        with pytest.raises(ArchError):
            ArchSpec.from_json(text)

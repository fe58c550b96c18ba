import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsconv_nas.errors import ArchError
from bsconv_nas.networks.arch import ArchSpec
from tests.strategies import JSON_VALUES, archs

Path = tuple[str | int, ...]


@given(archs())
def test_json_round_trip_is_exact(arch: ArchSpec) -> None:
    again = ArchSpec.from_json(arch.to_json())
    assert again == arch
    assert hash(again) == hash(arch)
    assert again.to_json() == arch.to_json()


@given(archs(), st.sampled_from((None, 0, 3)), st.randoms())
def test_identity_does_not_depend_on_key_order_or_spacing(arch: ArchSpec, indent: int | None, rng: Any) -> None:
    text = json.dumps(_shuffled(arch.to_dict(), rng), indent=indent, separators=(" ,", ": "))
    assert ArchSpec.from_json(text).arch_id == arch.arch_id


@given(archs(), archs())
def test_identities_are_equal_exactly_for_equal_architectures(one: ArchSpec, other: ArchSpec) -> None:
    assert (one == other) == (one.to_json() == other.to_json()) == (one.arch_id == other.arch_id)


@given(archs(), JSON_VALUES, st.data())
def test_any_value_anywhere_is_read_exactly_or_refused(arch: ArchSpec, value: Any, data: st.DataObject) -> None:
    plain = arch.to_dict()
    place = data.draw(st.sampled_from(sorted(_places(plain), key=repr)))
    _check(_replaced(plain, place, value))


@given(archs(), st.text(max_size=12), JSON_VALUES, st.data())
def test_any_further_key_is_refused(arch: ArchSpec, key: str, value: Any, data: st.DataObject) -> None:
    plain = arch.to_dict()
    objects = [p for p in _places(plain) if isinstance(_at(plain, p), dict)]
    place = data.draw(st.sampled_from([(), *objects]))
    if key in _at(plain, place):
        return
    with pytest.raises(ArchError, match="unknown key"):
        ArchSpec.from_dict(_replaced(plain, (*place, key), value))


@given(archs(), st.sampled_from(("head", "in_channels", "dropout", "shortcut", "se")))
def test_keys_with_defaults_may_be_left_out(arch: ArchSpec, key: str) -> None:
    _check(_without(arch.to_dict(), key))
    _check({**arch.to_dict(), "head": {}})


@given(JSON_VALUES)
def test_any_json_is_read_or_refused(value: Any) -> None:
    _check(value)


@given(st.text(max_size=40))
def test_any_text_is_refused(text: str) -> None:
    found = _read(text)
    assert isinstance(found, str)
    assert "\n" not in found


def _check(plain: Any) -> None:
    """Reading refuses with one line or keeps every value that was given."""
    found = _read(json.dumps(plain))
    if isinstance(found, str):
        assert "\n" not in found
    else:
        assert _keeps(found.to_dict(), plain), f"{plain} was read as {found.to_dict()}"


def _read(text: str) -> ArchSpec | str:
    """The architecture, or the error that users see."""
    try:
        return ArchSpec.from_json(text)
    except ArchError as error:
        return str(error)


def _keeps(read: Any, given_value: Any, key: str = "") -> bool:
    if isinstance(given_value, dict):
        return all(_keeps(read[name], item, name) for name, item in given_value.items())
    if isinstance(given_value, list):
        return len(read) == len(given_value) and all(map(_keeps, read, given_value))
    whole_ratio = key in ("p", "dropout") and type(given_value) is int  # 1 is read as 1.0
    return read == given_value and (whole_ratio or type(read) is type(given_value))


def _shuffled(value: Any, rng: Any) -> Any:
    if isinstance(value, dict):
        items = [(key, _shuffled(item, rng)) for key, item in value.items()]
        rng.shuffle(items)
        return dict(items)
    return [_shuffled(item, rng) for item in value] if isinstance(value, list) else value


def _without(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {name: _without(item, key) for name, item in value.items() if name != key}
    return [_without(item, key) for item in value] if isinstance(value, list) else value


def _places(value: Any, prefix: Path = ()) -> Iterator[Path]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*prefix, key)
        yield from _places(item, (*prefix, key))


def _at(value: Any, place: Path) -> Any:
    for key in place:
        value = value[key]
    return value


def _replaced(value: Any, place: Path, new: Any) -> Any:
    if not place:
        return new
    key, *rest = place
    if isinstance(value, dict):
        return {**value, key: _replaced(value.get(key), tuple(rest), new)}
    return [_replaced(item, tuple(rest), new) if position == key else item for position, item in enumerate(value)]

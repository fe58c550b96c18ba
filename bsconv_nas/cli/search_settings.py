"""Here, and nowhere else, the options of a command become `SearchSettings`.

An option named as a field sets that field. The others stand in `_TRANSLATED`, or the command names them as its own; an
option that is none of these would be lost, and is an error when the command line is imported.
"""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from bsconv_nas.base.limits import parse_bound
from bsconv_nas.base.text import did_you_mean
from bsconv_nas.base.toml_files import check_toml
from bsconv_nas.base.units import parse_amount
from bsconv_nas.errors import UsageError
from bsconv_nas.study.settings import SearchSettings, find_recipe

_Command = TypeVar("_Command", bound=Callable[..., None])

# Options that are no field, by what they set: `config` sets the fields that no option does.
_TRANSLATED = {
    "flops": "limits",
    "params": "limits",
    "limit": "limits",
    "no_reference": "references",
    "config": "settings",
}


def sets_search(*elsewhere: str) -> Callable[[_Command], _Command]:
    """Decorator of a command whose options are settings of a search, but for those that it uses `elsewhere`.

    Raises:
        TypeError: an option reaches no setting, or a name in `elsewhere` is no option.
    """

    def check(command: _Command) -> _Command:
        names = inspect.signature(command).parameters.keys() - {"context"}
        check_options(names, elsewhere)
        if missing := set(elsewhere) - names:
            raise TypeError(f"{command.__name__} has no option {min(missing)!r}, which is said to be used elsewhere")
        return command

    return check


def check_options(names: Iterable[str], elsewhere: Collection[str]) -> None:
    """Refuse names of options that reach no setting.

    Raises:
        TypeError: a name is no field of `SearchSettings`, is not translated, and is not in `elsewhere`.
    """
    known = {*SearchSettings.model_fields, *_TRANSLATED, *elsewhere}
    for name in names:
        if name not in known:
            raise TypeError(f"option {name!r} reaches no field of SearchSettings; {did_you_mean(name, known)}")


def settings_of(options: Mapping[str, Any]) -> SearchSettings:
    """The settings of a recipe (`config`), overridden by the options that were given.

    Raises:
        UsageError: an unknown recipe, or a value that is not allowed.
    """
    config = options.get("config")
    recipe = find_recipe(config).model_dump(exclude_none=True) if config else {}
    # An option that was not given is None, or False where it takes no value.
    changes = {
        name: value
        for name, value in options.items()
        if name in SearchSettings.model_fields and value is not None and value is not False
    }
    if limits := _limits(options):
        changes["limits"] = limits
    if options.get("no_reference"):
        changes["references"] = False
    return check_toml({**recipe, **changes}, SearchSettings, "options")


def _limits(options: Mapping[str, Any]) -> dict[str, float]:
    limits: dict[str, float] = {}
    if options.get("flops") is not None:
        limits["macs"] = parse_amount(options["flops"], "--flops")
    if options.get("params") is not None:
        limits["params"] = parse_amount(options["params"], "--params")
    for text in options.get("limit") or []:
        name, separator, amount = text.partition("=")
        if not separator:
            raise UsageError(f"--limit {text!r} is not COST=AMOUNT; write for example --limit peak_activation=256k")
        limits[name] = parse_bound(name, amount, f"--limit {name}")
    return limits

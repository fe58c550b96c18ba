"""TOML files that people write, checked: unknown keys are refused with the nearest known one."""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bsconv_nas.base.files import read_limited
from bsconv_nas.base.text import did_you_mean
from bsconv_nas.errors import UsageError


class TomlModel(BaseModel):
    """Base of everything read from TOML: unknown keys refused, no conversions between types, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


_Model = TypeVar("_Model", bound=TomlModel)


def read_toml(path: Path, model: type[_Model]) -> _Model:
    """Read and check a file.

    Raises:
        UsageError: missing, too large, not TOML, an unknown key, or a value that is not allowed.
    """
    return check_toml(load_toml(path), model, str(path))


def load_toml(path: Path) -> dict[str, Any]:
    """Read a file of at most 1 MB as plain data.

    Raises:
        UsageError: missing, too large, or not TOML.
    """
    try:
        return tomllib.loads(read_limited(path))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; check the path") from error
    except (ValueError, RecursionError) as error:  # ValueError: bad syntax, not UTF-8, over 4300 digits
        raise UsageError(f"{path} is not TOML: {error}") from error


def check_toml(data: dict[str, Any], model: type[_Model], where: str) -> _Model:
    """Check plain data as `read_toml` does; `where` names it in errors."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise UsageError(f"{where}: {_first_problem(error, model)}") from error


def _first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    problems = error.errors()
    # A misspelt key is reported twice, as missing and as unknown: only the second says what to do.
    problem = next((details for details in problems if details["type"] == "extra_forbidden"), problems[0])
    place = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        key = str(problem["loc"][-1])
        return f"unknown key {place!r}; {did_you_mean(key, _known_keys(model, problem['loc'][:-1]))}"
    if problem["type"] == "missing":
        return f"lacks {place!r}; add it"
    message = problem["msg"].removeprefix("Value error, ")
    value = repr(problem["input"])
    return f"{place or 'file'} is {value if len(value) < 60 else value[:57] + '...'}; {message}"


def _known_keys(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Keys of the (nested) model that the error is in."""
    for key in place:
        if isinstance(key, str) and key in model.model_fields:
            nested = _model_in(model.model_fields[key].annotation)
            if nested is None:
                break
            model = nested
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        model = _model_in(inner)
        if model is not None:
            return model
    return None

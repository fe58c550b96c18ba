"""Commands as code: no option is lost, and no command imports another."""

import ast
import inspect
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from bsconv_nas.cli.app import app
from bsconv_nas.cli.search_settings import check_options, sets_search, settings_of
from bsconv_nas.errors import UsageError
from bsconv_nas.study.settings import SearchSettings

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
Command = Callable[..., Any]


def _commands(rows: typer.Typer) -> Iterator[Command]:
    """The functions of all commands, those of groups too."""
    yield from (row.callback for row in rows.registered_commands if row.callback)
    for group in rows.registered_groups:
        assert group.typer_instance is not None
        yield from _commands(group.typer_instance)


COMMANDS = list(_commands(app))


def _lost(command: Command) -> set[str]:
    """Options of a command that its code does not use and that reach no setting of a search."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(command)))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    unused = inspect.signature(command).parameters.keys() - used
    if "settings_of" not in used:
        return unused
    return {name for name in unused if not _reaches_a_setting(name)}


def _reaches_a_setting(name: str) -> bool:
    try:
        check_options([name], ())
    except TypeError:
        return False
    return True


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_no_option_of_a_command_is_lost(command: Command) -> None:
    assert not _lost(command)


def test_an_option_that_is_lost_is_noticed() -> None:
    def command(context: typer.Context, trials: int, tirals: int, quiet: bool) -> None:
        settings_of(context.params)
        assert not quiet

    assert _lost(command) == {"tirals"}


def test_a_misspelt_option_of_a_search_is_an_error_at_import() -> None:
    def search(context: typer.Context, sampler: str | None = None, smal_first: float | None = None) -> None: ...

    with pytest.raises(TypeError, match="'smal_first' reaches no field of SearchSettings; did you mean 'small_first'"):
        sets_search()(search)


def test_an_option_that_is_used_elsewhere_must_be_one() -> None:
    def search(context: typer.Context, trials: int | None = None, quiet: bool = False) -> None: ...

    assert sets_search("quiet")(search) is search
    with pytest.raises(TypeError, match="search has no option 'quite'"):
        sets_search("quiet", "quite")(search)


def test_each_command_that_makes_settings_is_checked_at_import() -> None:
    makers = [command for command in COMMANDS if "settings_of(" in inspect.getsource(command)]
    assert {command.__name__ for command in makers} == {"search", "calibrate"}
    assert all("@sets_search(" in inspect.getsource(command) for command in makers)


def _parsed(*arguments: str) -> SearchSettings:
    """The settings of the `search` of the command line with these arguments."""
    command: Any = typer.main.get_command(app)
    context = command.commands["search"].make_context("search", list(arguments))
    return settings_of(context.params)


# Arguments of `search`, the field that they set, and its value.
ARGUMENTS: list[tuple[str, str, object]] = [
    (
        "--flops 300M --params 1M --limit peak_activation=256k",
        "limits",
        {"macs": 3e8, "params": 1e6, "peak_activation": 256e3},
    ),
    ("--trials 7", "trials", 7),
    ("--time 2h", "time", "2h"),
    ("--epochs 3", "epochs", 3),
    ("--train-fraction 0.5", "train_fraction", 0.5),
    ("--small-first 0", "small_first", 0.0),
    ("--data cifar10", "data", "cifar10"),
    ("--image-size 16", "image_size", 16),
    ("--space quick", "space", "quick"),
    ("--skip-bad-images", "skip_bad_images", True),
    ("--sampler tpe", "sampler", "tpe"),
    ("--early-stopping asha", "early_stopping", "asha"),
    ("--grace-period 2", "grace_period", 2),
    ("--reduction-factor 3", "reduction_factor", 3.0),
    ("--top1-floor 0.5", "top1_floor", 0.5),
    ("--no-reference", "references", False),
    ("--warm-start before", "warm_start", "before"),
    ("--seed 0", "seed", 0),
    ("--precision bfloat16", "precision", "bfloat16"),
    ("--workers 0", "workers", 0),
    ("--cpus-per-trial 0.5", "cpus_per_trial", 0.5),
    ("--gpus-per-trial 0", "gpus_per_trial", 0.0),
    ("--latency-threads 2", "latency_threads", 2),
    ("--ray-address auto", "ray_address", "auto"),
    ("--epoch-timeout 5m", "epoch_timeout", "5m"),
    ("--max-retries 0", "max_retries", 0),
]


@pytest.mark.parametrize(("arguments", "field", "value"), ARGUMENTS)
def test_each_option_sets_its_field_and_no_other(arguments: str, field: str, value: object) -> None:
    assert _parsed(*arguments.split()) == SearchSettings(**{field: value})  # type: ignore[arg-type]


def test_every_setting_has_an_option() -> None:
    assert {field for _, field, _ in ARGUMENTS} == SearchSettings.model_fields.keys()


def test_options_override_a_recipe_where_they_are_given(tmp_path: Path) -> None:
    text = (
        "schema_version = 1\n[settings]\ntrials = 9\nskip_bad_images = true\nreferences = false\nlimits = { macs = 5 }"
    )
    (tmp_path / "mine.toml").write_text(text)
    config = ("--config", str(tmp_path / "mine.toml"))
    recipe = SearchSettings(trials=9, skip_bad_images=True, references=False, limits={"macs": 5})
    assert _parsed(*config) == recipe
    assert _parsed(*config, "--trials", "3", "--params", "1k") == recipe.model_copy(
        update={"trials": 3, "limits": {"params": 1000.0}}
    )


def test_a_limit_without_an_amount_is_refused() -> None:
    with pytest.raises(UsageError, match="'macs' is not COST=AMOUNT"):
        _parsed("--limit", "macs")


def test_the_rule_that_no_command_imports_another_names_all_commands() -> None:
    contracts = tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]["contracts"]
    (rule,) = (contract for contract in contracts if contract["type"] == "independence")
    assert rule["modules"] == sorted({command.__module__ for command in COMMANDS})

"""Private parts of other packages that this package leans on: when one is gone, the test that fails names the file.

An upgrade of Optuna, Ray or torch may move what begins with an underscore, or what is documented for developers only,
without notice. Each such part is a row here, and a part that is used without a row fails too.
"""

import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage

PACKAGE = Path(__file__).parents[2] / "bsconv_nas"


@dataclass(frozen=True)
class Part:
    """What `file` uses.

    `name` is `module:attribute.attribute`, or begins with a key of `OBJECTS` for what only objects have. `takes` names
    its parameters, where it is called, replaced or overridden.
    """

    file: str
    name: str
    takes: tuple[str, ...] | None = None

    @property
    def token(self) -> str:
        """How the source names it."""
        return self.name.replace(":", ".").split(".")[-1]


def ray_trial() -> object:
    from ray.tune.experiment import Trial

    return Trial("bsconv-nas-canary", stub=True)


OBJECTS: dict[str, Callable[[], Any]] = {
    "a study": optuna.create_study,
    "a running trial": lambda: optuna.create_study().ask(),
    "a stored trial": lambda: optuna.trial.create_trial(value=0.0),
    "a database": lambda: RDBStorage("sqlite:///:memory:"),
    "a trial of Tune": ray_trial,
}

_TASK_FAILED = "ray.air.execution._internal.actor_manager:RayActorManager._actor_task_failed"
_SCHEDULER = "ray.tune.schedulers:FIFOScheduler"
_SEARCHER = "ray.tune.search:Searcher"
_MODELS = "optuna.storages._rdb.models"
_ATEN = "torch:ops.aten"
PARTS = [
    # Optuna
    Part("study/study.py", "a study:_storage"),
    Part("study/study.py", "a study:_study_id"),
    Part("study/study.py", "a running trial:_trial_id"),
    Part("study/driver_storage.py", "a stored trial:_trial_id"),
    Part("study/database.py", "a stored trial:_trial_id"),
    Part("study/driver_storage.py", "optuna.study._frozen:FrozenStudy"),
    Part("study/database.py", "a database:engine"),
    Part(
        "study/database.py",
        "optuna.storages:RDBStorage._get_trials",
        ("self", "study_id", "states", "included_trial_ids", "trial_id_greater_than"),
    ),
    Part("study/database.py", f"{_MODELS}:TrialValueModel.value_to_stored_repr", ("value",)),
    Part("study/database.py", f"{_MODELS}:TrialValueModel.stored_repr_to_value", ("value", "float_type")),
    Part(
        "study/database.py",
        f"{_MODELS}:TrialIntermediateValueModel.stored_repr_to_intermediate_value",
        ("value", "float_type"),
    ),
    # Ray
    Part("executors/ray_tune.py", _TASK_FAILED, ("self", "tracked_actor_task", "exception")),
    Part("executors/ray_tune.py", f"{_SCHEDULER}.on_trial_add", ("self", "tune_controller", "trial")),
    Part("executors/ray_tune.py", f"{_SCHEDULER}.on_trial_result", ("self", "tune_controller", "trial", "result")),
    Part("executors/ray_tune.py", f"{_SCHEDULER}.on_trial_error", ("self", "tune_controller", "trial")),
    Part("executors/ray_tune.py", f"{_SEARCHER}.FINISHED"),
    Part("executors/ray_tune.py", f"{_SEARCHER}.suggest", ("self", "trial_id")),
    Part("executors/ray_tune.py", f"{_SEARCHER}.on_trial_complete", ("self", "trial_id", "result", "error")),
    Part("executors/ray_tune.py", "a trial of Tune:max_failures"),
    Part("executors/ray_tune.py", "ray.tune.experiment:Trial.error_file"),
    Part("executors/ray_tune.py", "a trial of Tune:config"),
    # torch
    Part("nn/measure.py", "torch.utils._python_dispatch:TorchDispatchMode.__torch_dispatch__"),
    Part("nn/measure.py", "torch.utils.flop_counter:flop_registry"),
    Part("train/fast_norm.py", f"{_ATEN}.native_batch_norm"),
    Part("train/fast_norm.py", f"{_ATEN}.native_batch_norm_backward"),
    Part("train/fast_norm.py", "torch:batch_norm_update_stats"),
    Part("train/fast_depthwise.py", f"{_ATEN}.convolution"),
    Part("train/fast_depthwise.py", f"{_ATEN}.convolution_backward"),
    Part("train/fast_routes.py", f"{_ATEN}.hardtanh_backward"),
]
# Numbers of arguments that torch's operations are called with, in that order.
ARGUMENTS = {
    "native_batch_norm": 8,
    "native_batch_norm_backward": 10,
    "convolution": 9,
    "convolution_backward": 11,
    "hardtanh_backward": 4,
}
# What is read and written of Optuna's schema.
COLUMNS = {
    "StudyModel": ("studies", {"study_id", "study_name"}),
    "StudyUserAttributeModel": ("study_user_attributes", {"study_id", "key", "value_json"}),
    "TrialModel": ("trials", {"trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"}),
    "TrialParamModel": ("trial_params", {"param_id", "trial_id", "param_name", "param_value", "distribution_json"}),
    "TrialValueModel": ("trial_values", {"trial_id", "objective", "value", "value_type"}),
    "TrialUserAttributeModel": ("trial_user_attributes", {"trial_id", "key", "value_json"}),
    "TrialSystemAttributeModel": ("trial_system_attributes", {"trial_id", "key", "value_json"}),
    "TrialIntermediateValueModel": (
        "trial_intermediate_values",
        {"trial_id", "step", "intermediate_value", "intermediate_value_type"},
    ),
}


def found(name: str) -> Any:
    home, _, path = name.partition(":")
    value = OBJECTS[home]() if home in OBJECTS else importlib.import_module(home)
    for attribute in path.split("."):
        value = getattr(value, attribute)
    return value


def problem(part: Part) -> str | None:
    """What is wrong with a part, and where it is used; None if it is as it was."""
    try:
        value = found(part.name)
    except (ImportError, AttributeError) as error:
        return f"bsconv_nas/{part.file} uses {part.name}, which is gone: {error}"
    takes = tuple(inspect.signature(value).parameters) if part.takes is not None else None
    if takes != part.takes:
        return f"bsconv_nas/{part.file} uses {part.name} as {part.takes}; its parameters are now {takes}"
    return None


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.file}-{part.name}")
def test_private_parts_are_as_they_were(part: Part) -> None:
    assert part.token.strip("_") in (PACKAGE / part.file).read_text(), f"{part.file} no longer uses {part.name}"
    assert problem(part) is None


def test_what_is_gone_or_changed_is_told_with_the_file_that_uses_it() -> None:
    gone = problem(Part("study/study.py", "optuna.study:Study._no_such_part"))
    assert gone is not None
    assert gone.startswith("bsconv_nas/study/study.py uses optuna.study:Study._no_such_part, which is gone")
    moved = problem(Part("study/study.py", "optuna.no_such_module:Study"))
    assert moved is not None
    assert "which is gone" in moved
    changed = problem(Part("executors/ray_tune.py", "optuna.study:Study.ask", ("self", "trial")))
    assert changed is not None
    assert "bsconv_nas/executors/ray_tune.py" in changed
    assert "its parameters are now" in changed


@pytest.mark.parametrize("name", ARGUMENTS)
def test_operations_of_torch_take_as_many_arguments(name: str) -> None:
    arguments = found(f"{_ATEN}.{name}.default")._schema.arguments
    users = [part.file for part in PARTS if part.name == f"{_ATEN}.{name}"]
    assert len(arguments) == ARGUMENTS[name], f"bsconv_nas/{users[0]} calls aten::{name} with {ARGUMENTS[name]}"


@pytest.mark.parametrize("model", COLUMNS)
def test_the_schema_of_optuna_has_what_is_read(model: str) -> None:
    table, columns = COLUMNS[model]
    stored = found(f"{_MODELS}:{model}.__table__")
    users = "bsconv_nas/study/database.py and study/rows.py read it"
    assert stored.name == table, users
    assert columns <= {column.name for column in stored.columns}, users


def test_ray_names_failures_as_they_are_read() -> None:
    source = inspect.getsource(importlib.import_module("ray.tune.experiment.trial"))
    assert "Failure # " in source, "bsconv_nas/executors/worker_failures.py looks for it in Tune's error files"


def test_constraints_are_stored_one_by_one() -> None:
    """The sampler's own `constraints`, which optuna-dashboard reads, must not collide with what Optuna stores."""
    study = optuna.create_study()
    study.ask().set_constraint("macs", -1.0)
    (trial,) = study.get_trials()
    assert list(trial.system_attrs) == ["constraints:macs"], "bsconv_nas/study/study.py stores `constraints` beside it"


PRIVATE_IMPORT = re.compile(r"^\s*(?:from|import) (?!bsconv_nas)(\S*\._\w\S*)", re.MULTILINE)
PRIVATE_USE = re.compile(r"(?<!self)\.(_\w+)")


def test_every_private_part_in_use_has_a_row() -> None:
    for path in PACKAGE.rglob("*.py"):
        file, text = str(path.relative_to(PACKAGE)), path.read_text()
        rows = [part for part in PARTS if part.file == file]
        for module in PRIVATE_IMPORT.findall(text):
            assert any(part.name.startswith(module) for part in rows), f"{file} imports {module} without a row in PARTS"
        used = [
            name for line in text.splitlines() if "[reportPrivateUsage]" in line for name in PRIVATE_USE.findall(line)
        ]
        for attribute in used:
            assert any(part.token == attribute for part in rows), f"{file} uses {attribute} without a row in PARTS"

"""Search convolutional networks of Blueprint Separable Convolutions for a compute budget.

The public interface is what `__all__` lists; each name is loaded when it is first used, so that searching a space of
your own needs no torch, and nothing needs Ray before workers are asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bsconv_nas.api import search
    from bsconv_nas.engine.options import SearchOptions
    from bsconv_nas.errors import BsconvNasError, BudgetError, UsageError
    from bsconv_nas.networks.arch import ArchSpec, BlockSpec, HeadSpec, LayerSpec, StemSpec
    from bsconv_nas.networks.cost import Cost, cost_of
    from bsconv_nas.nn.build import build
    from bsconv_nas.report.notebook import plot_front
    from bsconv_nas.spaces.genes import GeneSpace
    from bsconv_nas.study import Study, TrialRecord, TrialState
    from bsconv_nas.study.locate import load_study

_HOMES = {
    "ArchSpec": "networks.arch",
    "BlockSpec": "networks.arch",
    "BsconvNasError": "errors",
    "BudgetError": "errors",
    "Cost": "networks.cost",
    "GeneSpace": "spaces.genes",
    "HeadSpec": "networks.arch",
    "LayerSpec": "networks.arch",
    "SearchOptions": "engine.options",
    "StemSpec": "networks.arch",
    "Study": "study",
    "TrialRecord": "study",
    "TrialState": "study",
    "UsageError": "errors",
    "build": "nn.build",
    "cost_of": "networks.cost",
    "load_study": "study.locate",
    "plot_front": "report.notebook",
    "search": "api",
}

__all__ = [
    "ArchSpec",
    "BlockSpec",
    "BsconvNasError",
    "BudgetError",
    "Cost",
    "GeneSpace",
    "HeadSpec",
    "LayerSpec",
    "SearchOptions",
    "StemSpec",
    "Study",
    "TrialRecord",
    "TrialState",
    "UsageError",
    "build",
    "cost_of",
    "load_study",
    "plot_front",
    "search",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bsconv_nas' has no attribute {name!r}")
    return getattr(import_module(f"bsconv_nas.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

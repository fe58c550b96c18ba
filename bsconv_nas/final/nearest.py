"""The hand-made networks to compare with: of nearest MACs at or below a budget, or all with certain names."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import NamedTuple

from bsconv_nas.base.units import format_amount
from bsconv_nas.errors import UsageError
from bsconv_nas.models import model_costs
from bsconv_nas.models.named import build_named
from bsconv_nas.nn.profile import ModelProfiler

_SMALL_IMAGE = 64
_SLACK = 1.2  # costs at another image size are estimated to about this factor before they are measured
_MEASURED = 2
_TOO_DEEP = ("302", "602")  # numbers of layers; such networks take hours to train, and nobody would deploy them
# Narrower than the networks with published results, for budgets below all of those.
_NARROW = tuple(f"mobilenetv1_w1d{width}{variant}" for width in (8, 16, 32) for variant in ("", "_bsconvu"))


class NamedCost(NamedTuple):
    """A reference network and what it costs."""

    name: str
    macs: int
    params: int


def nearest_references(budget: float, image_size: tuple[int, int], num_classes: int) -> list[NamedCost]:
    """The BSConv network and the plain MobileNet of most MACs within `budget`; fewer where none is that small.

    Images of up to 64 px take the CIFAR networks, larger ones those made for ImageNet.
    """
    small = _usual_side(image_size) == 32
    estimates = {
        name: macs for name, macs in _estimates(small, image_size).items() if not any(d in name for d in _TOO_DEEP)
    }
    blueprint = {name: macs for name, macs in estimates.items() if "_bsconv" in name}
    plain = {name: macs for name, macs in estimates.items() if "mobilenet" in name and "_bsconv" not in name}
    references = (_nearest(group, budget, image_size, num_classes) for group in (blueprint, plain))
    return [reference for reference in references if reference is not None]


def named_references(
    patterns: str, budgets: Sequence[float], image_size: tuple[int, int], num_classes: int
) -> list[tuple[float, NamedCost]]:
    """Every reference network within the largest budget whose name fits one of the comma-separated patterns.

    Each comes with the smallest budget that it is within. Patterns are as in a shell, such as `*resnet20*,*wrn16*`.

    Raises:
        UsageError: a pattern fits no network within the budgets.
    """
    small = _usual_side(image_size) == 32
    names = sorted(name for name in _estimates(small, image_size) if not any(d in name for d in _TOO_DEEP))
    references: dict[str, tuple[float, NamedCost]] = {}
    for pattern in patterns.split(","):
        fitting = [name for name in names if fnmatchcase(name, pattern.strip())]
        costs = [reference_cost(name, image_size, num_classes) for name in fitting]
        within = {cost.name: (_budget_of(cost, budgets), cost) for cost in costs if cost.macs <= max(budgets)}
        if not within:
            raise UsageError(
                f"--references: no network fits {pattern.strip()!r} within {format_amount(max(budgets))} MACs; "
                "`bsconv-nas models list` shows their names and costs"
            )
        references |= within
    return list(references.values())


def _budget_of(cost: NamedCost, budgets: Sequence[float]) -> float:
    return min(budget for budget in budgets if cost.macs <= budget)


def _usual_side(image_size: tuple[int, int]) -> int:
    return 32 if min(image_size) <= _SMALL_IMAGE else 224


def _estimates(small: bool, image_size: tuple[int, int]) -> dict[str, float]:
    """MACs by name, scaled from the size that the table is for; the narrow ones by the square of their width."""
    scale = image_size[0] * image_size[1] / _usual_side(image_size) ** 2
    prefix = "cifar_" if small else ""
    costs = {name: float(cost.macs) for name, cost in model_costs().items() if name.startswith("cifar_") == small}
    for name in _NARROW:
        width = int(name.split("_w1d")[1].split("_")[0])
        costs[prefix + name] = costs[prefix + name.replace(f"w1d{width}", "w1d4")] * (4 / width) ** 1.5
    return {name: macs * scale for name, macs in costs.items()}


def _nearest(
    estimates: dict[str, float], budget: float, image_size: tuple[int, int], num_classes: int
) -> NamedCost | None:
    # Largest first; a few more than the first that fits, because estimates are not in the exact order.
    fitting: list[NamedCost] = []
    slack = 1 if image_size == (_usual_side(image_size),) * 2 else _SLACK
    for name in sorted(estimates, key=lambda name: (-estimates[name], name)):
        if estimates[name] <= slack * budget:
            cost = reference_cost(name, image_size, num_classes)
            fitting += [cost] if cost.macs <= budget else []
            if len(fitting) == _MEASURED:
                break
    return max(fitting, key=lambda cost: (cost.macs, cost.name), default=None)


@cache
def reference_cost(name: str, image_size: tuple[int, int], num_classes: int) -> NamedCost:
    """Exact cost of a reference network for images and classes; nothing is computed."""
    profile = ModelProfiler(build_named(name, num_classes, device="meta"), (1, 3, *image_size))
    return NamedCost(name, profile.total_macs, profile.total_parameter_count)

"""Replace the modules of any model by rule, above all ordinary convolutions by blueprint separable ones.

replacer = BSConvSReplacer(p=1 / 4, init="svd")
model = replacer.apply(torchvision.models.resnet18(weights="DEFAULT"))
for row in replacer.report:
    print(row.name, row.error)
"""

import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import nn

from bsconv_nas.base.units import counted
from bsconv_nas.errors import UsageError
from bsconv_nas.nn.bsconv import Size

logger = logging.getLogger(__name__)

KernelSizes = int | list[Size] | tuple[Size, ...] | None


class ModuleFilter(ABC):
    """Says which modules a rule is for."""

    @abstractmethod
    def apply(self, module: nn.Module, name: str, full_name: str) -> bool:
        """Whether the rule is for `module`: `name` in its parent, `full_name` in the model ("" is the model itself)."""


class ModuleTransformer(ABC):
    """Makes the module that takes a module's place."""

    @abstractmethod
    def apply(self, module: nn.Module, name: str, full_name: str) -> nn.Module:
        """The replacement, or `module` itself when it was changed in place."""

    def approximation_error(self, replacement: nn.Module) -> float | None:
        """Relative error of a replacement that this transformer fitted to trained weights; None for any other."""
        return None


class ModelFilter(ModuleFilter):
    """Matches the model itself and nothing within."""

    def apply(self, module: nn.Module, name: str, full_name: str) -> bool:
        return full_name == ""


class Conv2dFilter(ModuleFilter):
    """Matches ungrouped `nn.Conv2d` (and subclasses) of certain kernel sizes.

    Args:
        kernel_sizes: one size, or several, each an int or a (height, width) pair; None matches every size.

    Raises:
        UsageError: not sizes.
    """

    def __init__(self, kernel_sizes: KernelSizes = None) -> None:
        self.kernel_sizes = None if kernel_sizes is None else _as_pairs(kernel_sizes)

    def apply(self, module: nn.Module, name: str, full_name: str) -> bool:
        if not isinstance(module, nn.Conv2d) or module.groups != 1:
            return False
        return self.kernel_sizes is None or tuple(module.kernel_size) in self.kernel_sizes


class ModuleReplacementRule:
    """A filter and what happens to the modules that it matches."""

    def __init__(self, filter_: ModuleFilter, transformer: ModuleTransformer) -> None:
        self.filter = filter_
        self.transformer = transformer

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {type(self.filter).__name__} => {type(self.transformer).__name__}>"


@dataclass(frozen=True, slots=True)
class Replacement:
    """One altered module.

    `names` are all its places in the model: several where it is shared. `error` is ||W - W'|| / ||W|| between the
    trained weights and the ones that the replacement starts with, 0 to 1, or None if it does not start from them.
    """

    names: tuple[str, ...]
    old_type: str
    new_type: str
    params_before: int
    params_after: int
    error: float | None = None

    @property
    def name(self) -> str:
        """Its first place in the model; "" is the model itself."""
        return self.names[0]


class ModuleReplacer:
    """Applies rules to a model: to the root, then depth first to all modules within; the first match wins.

    What a transformer returns is not searched again, except a root that was changed in place. A module with several
    parents is replaced once, for all of them.

    Args:
        verbosity: what goes to the log of `bsconv_nas.nn.replacers` at level INFO: 0 nothing, 1 the number of altered
            modules and the parameters before and after, 2 also each altered module. `report` has it all in any case.
    """

    def __init__(self, verbosity: int = 0) -> None:
        self.verbosity = verbosity
        self.rules: list[ModuleReplacementRule] = []
        self.report: tuple[Replacement, ...] = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self.rules)} rule(s)>"

    def add_rule(
        self, rule: ModuleReplacementRule | ModuleFilter, transformer: ModuleTransformer | None = None
    ) -> None:
        """Add a rule, or a filter and its transformer, after the rules that are already there.

        Raises:
            TypeError: neither of the two.
        """
        if isinstance(rule, ModuleFilter) and isinstance(transformer, ModuleTransformer):
            rule = ModuleReplacementRule(rule, transformer)
        elif not isinstance(rule, ModuleReplacementRule) or transformer is not None:
            raise TypeError(
                f"add_rule got {type(rule).__name__} and {type(transformer).__name__}; "
                "it takes a ModuleReplacementRule, or a ModuleFilter and a ModuleTransformer"
            )
        self.rules.append(rule)

    def apply(self, model: nn.Module) -> nn.Module:
        """Replace within `model`, in place, and return it (or what took its place). `report` tells what was done."""
        before = _count_parameters(model)
        done: dict[int, _Outcome] = {}
        closed: set[str] = set()
        # The list is made before anything changes, so a replaced module stays alive and its id is not used again.
        for full_name, module in list(model.named_modules(remove_duplicate=False)):
            parent_name, _, name = full_name.rpartition(".")
            if full_name and parent_name in closed:
                closed.add(full_name)
                continue
            outcome = done.get(id(module)) or self._transform(module, name, full_name)
            if outcome is None:
                continue
            done[id(module)] = outcome
            outcome.names.append(full_name)
            if full_name:
                closed.add(full_name)
                setattr(model.get_submodule(parent_name), name, outcome.module)
            elif outcome.module is not model:
                model = outcome.module
                break
        self.report = tuple(outcome.replacement() for outcome in done.values())
        self._log(before, _count_parameters(model))
        return model

    def _transform(self, module: nn.Module, name: str, full_name: str) -> "_Outcome | None":
        for rule in self.rules:
            if rule.filter.apply(module=module, name=name, full_name=full_name):
                old_type, params_before = type(module).__name__, _count_parameters(module)
                new = rule.transformer.apply(module=module, name=name, full_name=full_name)
                return _Outcome(new, [], old_type, params_before, rule.transformer.approximation_error(new))
        return None

    def _log(self, before: int, after: int) -> None:
        if self.verbosity >= 2:
            for row in self.report:
                error = "" if row.error is None else f", relative error {row.error:.3f}"
                names = " = ".join(name or "(root)" for name in row.names)
                logger.info("%s: %s -> %s%s", names, row.old_type, row.new_type, error)
        if self.verbosity >= 1:
            share = f" ({after / before:.1%})" if before else ""
            altered = counted(len(self.report), "module")
            logger.info("%s altered %s; parameters %s -> %s%s", type(self).__name__, altered, before, after, share)


@dataclass(slots=True)
class _Outcome:
    """The module that is now at its places in the model, with what the report says of it."""

    module: nn.Module
    names: list[str]
    old_type: str
    params_before: int
    error: float | None

    def replacement(self) -> Replacement:
        new_type, params_after = type(self.module).__name__, _count_parameters(self.module)
        return Replacement(tuple(self.names), self.old_type, new_type, self.params_before, params_after, self.error)


def _count_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def _as_pairs(kernel_sizes: Any) -> tuple[tuple[int, int], ...]:
    sizes = kernel_sizes if isinstance(kernel_sizes, list | tuple) else (kernel_sizes,)
    pairs = [tuple(size) if isinstance(size, list | tuple) else (size, size) for size in sizes]
    if not all(len(pair) == 2 and all(isinstance(side, int) and side > 0 for side in pair) for pair in pairs):
        raise UsageError(
            f"kernel_sizes is {kernel_sizes!r}; allowed: 3, or (3, 5) for both, or [(3, 5)] for one oblong"
        )
    return tuple((height, width) for height, width in pairs)

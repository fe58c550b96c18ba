"""Who is trained fully: the best of the front under each budget, the best of a random arm, the nearest references."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bsconv_nas.base.units import format_amount
from bsconv_nas.errors import StudyError, UsageError
from bsconv_nas.final.nearest import NamedCost, named_references, nearest_references
from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.spaces.references import reference_names
from bsconv_nas.study import Study, TrialRecord, front_of

NEAREST = "nearest"
Kind = Literal["searched", "random", "reference"]


@dataclass(frozen=True, slots=True)
class Contestant:
    """A network of the comparison. `arch` is None for a network of `models`, which `name` then builds.

    `costs` has what is known beside MACs and parameters, by name.
    """

    kind: Kind
    name: str
    budget: float
    macs: int
    params: int
    trial: int | None = None
    brief_val_top1: float | None = None
    arch: ArchSpec | None = None
    costs: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def identity(self) -> str:
        """What the network is, whatever the study calls it."""
        return self.name if self.arch is None else self.arch.arch_id


def default_budgets(study: Study) -> list[float]:
    """The MACs of the study's best network: a budget beyond it would only favour the references.

    Raises:
        StudyError: no trial is complete.
    """
    best = study.best()
    if best is None:
        raise StudyError(f"study {study.name!r} has no complete trial yet; run its search again")
    return [best.cost["macs"]]


def choose(
    study: Study,
    budgets: Sequence[float],
    top: int,
    image_size: tuple[int, int],
    arm: Study | None = None,
    references: str = NEAREST,
) -> list[Contestant]:
    """The contestants of all budgets, each network once: under the smallest budget that it is chosen for.

    `references` is "nearest", or patterns of names: see `named_references`.

    Raises:
        StudyError: a study without networks; nothing of the front is within a budget.
        UsageError: `top` or a budget below 1; a pattern that no network fits.
    """
    if top < 1:
        raise UsageError(f"--top is {top}; allowed: at least 1")
    contestants: dict[str, Contestant] = {}
    for budget in sorted(budgets):
        for contestant in _under(study, budget, top, arm):
            contestants.setdefault(contestant.identity, contestant)
    for budget, reference in _references(references, budgets, image_size, _classes(contestants.values())):
        contestants.setdefault(reference.name, _of_reference(reference, budget))
    order: dict[Kind, int] = {"searched": 0, "random": 1, "reference": 2}
    return sorted(contestants.values(), key=lambda contestant: (order[contestant.kind], contestant.macs))


def _under(study: Study, budget: float, top: int, arm: Study | None) -> Iterator[Contestant]:
    members = [record for record in study.front() if record.cost["macs"] <= budget]
    if not members:
        least = min((record.cost["macs"] for record in study.front()), default=0)
        raise StudyError(
            f"no network of the front of {study.name!r} is within {format_amount(budget)} MACs; "
            f"the smallest has {format_amount(least)}: choose another --at"
        )
    known = _hand_made(members[-1])
    searched = [record for record in members if record.identity not in known]
    for record in searched[-top:]:
        yield _of_trial("searched", f"trial-{record.number}", record, budget)
    for record in members[-top:]:
        if record.identity in known:  # it was a hand-made starting point of the search
            yield _of_trial("reference", known[record.identity], record, budget)
    if arm is not None:
        yield from _best_of_arm(arm, len(study.records), budget)


def _hand_made(record: TrialRecord) -> dict[str, str]:
    arch = record.arch_spec()
    return {} if arch is None else reference_names(arch.image_size, arch.num_classes)


def _references(
    references: str, budgets: Sequence[float], image_size: tuple[int, int], classes: int
) -> Iterable[tuple[float, NamedCost]]:
    if references != NEAREST:
        return named_references(references, budgets, image_size, classes)
    return [
        (budget, reference)
        for budget in sorted(budgets)
        for reference in nearest_references(budget, image_size, classes)
    ]


def _classes(contestants: Iterable[Contestant]) -> int:
    return next(contestant.arch.num_classes for contestant in contestants if contestant.arch is not None)


def _best_of_arm(arm: Study, trials: int, budget: float) -> Iterator[Contestant]:
    """The best of the arm's first `trials` trials, so that it cost no more trainings than the study."""
    members = [r for r in front_of(arm.records[:trials], arm.limits, arm.objective) if r.cost["macs"] <= budget]
    if members:
        yield _of_trial("random", f"{arm.name}-trial-{members[-1].number}", members[-1], budget)


def _of_trial(kind: Kind, name: str, record: TrialRecord, budget: float) -> Contestant:
    arch = record.arch_spec()
    if arch is None:
        raise StudyError("a study of a space of its own has no networks to train; evaluate its best points yourself")
    macs, params = int(record.cost["macs"]), int(record.cost["params"])
    return Contestant(kind, name, budget, macs, params, record.number, record.top1, arch, record.cost)


def _of_reference(reference: NamedCost, budget: float) -> Contestant:
    return Contestant("reference", reference.name, budget, reference.macs, reference.params)

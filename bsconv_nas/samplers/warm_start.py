"""The networks that a search begins with: references, and the best of an earlier study."""

from collections.abc import Mapping, Sequence

from bsconv_nas.base.limits import Limits
from bsconv_nas.errors import StudyError
from bsconv_nas.pareto import front_indices
from bsconv_nas.samplers.options import Earlier
from bsconv_nas.spaces.genes import GeneSpace, Genotype
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.spaces.references import references_in
from bsconv_nas.study.study import Study

_MOST_FIRST = 8  # networks of an earlier front that are trained again: enough to tell how the two studies relate


def reference_genotypes(space: GeneSpace) -> list[Genotype]:
    """The hand-made reference networks that are points of the space, each once, in the order of `REFERENCES`.

    A space that is not one of networks has none.
    """
    return list(dict.fromkeys(references_in(space).values())) if isinstance(space, ArchSpace) else []


def earlier_results(study: Study, space: GeneSpace, fixed: Mapping[str, str]) -> tuple[Earlier, ...]:
    """Complete trials of an earlier study, for a search of `space` with the facts `fixed` (see `Study.open`).

    Space and images must be the same. Budget, training and seed may differ: how that changes accuracies is learned
    from networks that both studies train.

    Raises:
        StudyError: the study is of another space or of other images, or has no complete trial.
    """
    facts = study.optuna_study.user_attrs
    needed = {"space": space.fingerprint} | ({"images": fixed["images"]} if "images" in fixed else {})
    for name, value in needed.items():
        if facts.get(name) != value:
            raise StudyError(
                f"study {study.name!r} cannot warm-start this search: it has other {name} "
                f"({facts.get(name, 'none')}; here {value}); give one of the same data, image size and space"
            )
    results = tuple(Earlier(space.canonical(r.genotype), r.top1) for r in study.records if r.top1 is not None)
    if not results:
        raise StudyError(f"study {study.name!r} cannot warm-start this search: none of its trials is complete")
    return results


def earlier_front(space: GeneSpace, limits: Limits, objective: str, earlier: Sequence[Earlier]) -> list[Genotype]:
    """The best networks of an earlier study that are within the limits, to be trained again: up to eight.

    They are taken evenly from its front, from the cheapest to the most accurate one. While that gives too few, the
    front of the remaining networks is taken next.
    """
    rest = [e for e in earlier if limits.allow(space.cost(e.genotype))]
    chosen: list[Genotype] = []
    while rest and len(chosen) < _MOST_FIRST:
        costs = [space.cost(e.genotype)[objective] for e in rest]
        front = [rest[i] for i in front_indices(costs, [e.top1 for e in rest])]
        count = min(len(front), _MOST_FIRST - len(chosen))
        chosen += [front[round(i * (len(front) - 1) / max(1, count - 1))].genotype for i in range(count)]
        rest = [e for e in rest if e not in front]
    return list(dict.fromkeys(chosen))

"""What a network exactly at the limit is worth to the known-cost sampler."""

import optuna
from optuna.trial import create_trial

from bsconv_nas.base.limits import Limits
from bsconv_nas.samplers.known_cost import KnownCostSampler
from bsconv_nas.spaces.genes import GeneSpace, Genotype


def test_a_network_at_the_limit_is_trained_before_one_that_hardly_adds_to_the_front() -> None:
    """Width 16 costs exactly the limit. Were the front measured up to there and no further, the step that it adds would
    have no width, however accurate it is, and the best network within the budget would be the last one to be trained.
    """
    space = GeneSpace({"width": list(range(1, 33))}, cost=lambda g: {"macs": 1e3 * float(g[0])})

    def top1(genotype: Genotype) -> float:
        return 1 - 0.8 * float(genotype[0]) ** -0.5

    sampler = KnownCostSampler(space, Limits({"macs": 16e3}), seed=0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for width in range(1, 16):
        if width != 9:
            values = [top1((width,)), 1e3 * width]
            params, distributions = {"width": width}, sampler.distributions
            study.add_trial(create_trial(params=params, distributions=distributions, values=values))
    assert [study.ask(sampler.distributions).params["width"] for _ in range(2)] == [16, 9]

"""What a search will cost: a small and a large network are trained for a moment, the rest is arithmetic."""

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from bsconv_nas.base.units import counted, format_duration
from bsconv_nas.nn.build import build
from bsconv_nas.plan import Plan
from bsconv_nas.samplers.feasible import Feasible
from bsconv_nas.spaces.genes import Genotype
from bsconv_nas.train.loop import train
from bsconv_nas.train.placement import place

_SAMPLES = 300
_ENOUGH = 10
_FIRST_IMAGES = 16
_SEARCH_SECONDS = 0.5  # spent on measuring each of two networks before a search


@dataclass(frozen=True, slots=True)
class Measured:
    """Training speed of one network on one worker, validation included."""

    macs: float
    seconds_per_image: float


@dataclass(frozen=True, slots=True)
class TrialSeconds:
    """Seconds of one trial for the smallest, a middling and the largest network that was sampled."""

    small: float
    middle: float
    large: float


def total_seconds(one: float, trials: int, at_a_time: int) -> float:
    """Seconds of so many trials of `one` second each, of which some run at a time."""
    return one * -(-trials // at_a_time)


def measure_speed(plan: Plan, seconds: float) -> tuple[Measured, Measured, float]:
    """The smallest and the largest of some random networks within the limits, and the median of all their MACs.

    Takes about `seconds` for each of the two, more where a few images take longer.

    Raises:
        BudgetError: no network of the space is within the limits.
    """
    networks = sorted(_sample(plan), key=lambda genotype: plan.space.cost(genotype)["macs"])
    small, large = (_measured(plan, genotype, seconds) for genotype in (networks[0], networks[-1]))
    return small, large, statistics.median(plan.space.cost(genotype)["macs"] for genotype in networks)


def estimate_trials(plan: Plan, small: Measured, large: Measured, middle_macs: float) -> TrialSeconds:
    """Times of trials, by a straight line in MACs between the two networks."""
    span = large.macs - small.macs
    slope = (large.seconds_per_image - small.seconds_per_image) / span if span else 0.0
    middle = small.seconds_per_image + slope * (middle_macs - small.macs)
    images = plan.recipe.whole_epochs * images_per_epoch(plan)
    return TrialSeconds(*(images * rate for rate in (small.seconds_per_image, middle, large.seconds_per_image)))


def cost_line(plan: Plan, earlier: Sequence[float]) -> str | None:
    """What the trials to come will take, by the seconds of those before or by a short measurement.

    None where there is nothing to do, or the trials would run on GPUs or on other machines.
    """
    left = plan.settings.trials - len(earlier)
    here = plan.settings.ray_address is None and plan.resources.gpus_per_trial == 0
    if left <= 0 or not (here or any(earlier)):
        return None
    at_a_time = plan.resources.at_a_time
    if any(earlier):
        middle = statistics.mean(earlier)
        spread = ""
    else:
        seconds = estimate_trials(plan, *measure_speed(plan, _SEARCH_SECONDS))
        middle = seconds.middle
        spread = f" (small {format_duration(seconds.small)}, large {format_duration(seconds.large)})"
    total = total_seconds(middle, left, at_a_time)
    trials = f"{counted(left, 'trial')} of {format_duration(middle)}{spread}"
    return f"about {format_duration(total)}: {trials}, {at_a_time} at a time"


def images_per_epoch(plan: Plan) -> int:
    """Training images of one epoch."""
    count = len(plan.data.train_images)
    return plan.recipe.steps_per_epoch(count) * min(plan.recipe.batch_size, count)


def _sample(plan: Plan) -> Sequence[Genotype]:
    """Random networks within the limits; under tight ones, which few meet, random ones changed to meet them."""
    rng = random.Random(0)
    drawn = [plan.space.random(rng) for _ in range(_SAMPLES)]
    within = [genotype for genotype in drawn if plan.limits.allow(plan.space.cost(genotype))]
    if len(within) >= _ENOUGH:
        return within
    feasible = Feasible(plan.space, plan.limits)
    return [feasible.repair(genotype, rng) for genotype in drawn[:_ENOUGH]]


def _measured(plan: Plan, genotype: Genotype, seconds: float) -> Measured:
    """Train on more and more images until the time is up; the first few only warm up."""
    threads = torch.get_num_threads()
    torch.set_num_threads(plan.resources.threads)
    try:
        _seconds(plan, genotype, _FIRST_IMAGES)
        images, most = _FIRST_IMAGES, images_per_epoch(plan)
        while True:
            images = min(images, most)
            spent = _seconds(plan, genotype, images)
            if spent >= seconds / 2 or images == most:
                return Measured(plan.space.cost(genotype)["macs"], spent / images)
            images *= min(8, max(2, int(seconds / spent)))
    finally:
        torch.set_num_threads(threads)


def _seconds(plan: Plan, genotype: Genotype, images: int) -> float:
    """Time of one epoch over so many images, with as large a share of validation as the search has."""
    network = build(plan.space.decode(genotype), seed=0)
    changes = {"epochs": 1, "train_fraction": 1.0, "batch_size": min(plan.recipe.batch_size, images)}
    recipe = plan.recipe.model_copy(update={**changes, "learning_rate": 1e-4})
    validated = max(1, round(images * len(plan.data.val_images) / images_per_epoch(plan)))
    data = plan.data
    training = (data.train_images[:images], data.train_labels[:images])
    validation = (data.val_images[:validated], data.val_labels[:validated])
    placed = place((*training, *validation), plan.resources.device)
    begin = time.perf_counter()
    for _ in train(network, placed, recipe, seed=0):
        pass
    return time.perf_counter() - begin

"""The best front of a synthetic problem: by enumeration where possible, else by long evolution without noise."""

import itertools

import numpy as np

from benchmarks.synthetic import Codes, Floats, Problem

ENUMERATED = 3_000_000


def true_front(problem: Problem) -> tuple[Floats, Floats]:
    """Costs and errors of the front within the limit."""
    if np.prod(problem.sizes.astype(float)) <= ENUMERATED:
        codes = np.array(list(itertools.product(*(range(size) for size in problem.sizes))))
        return _costs_and_errors(problem, _front(problem, codes))
    return _costs_and_errors(problem, _evolved(problem))


def _evolved(problem: Problem, generations: int = 400, batch: int = 4000) -> Codes:
    rng = np.random.default_rng(0)
    front = _front(problem, np.vstack([problem.random(20_000, rng), np.zeros((1, problem.genes), int)]))
    for generation in range(generations):
        parents = front[rng.integers(0, len(front), batch)]
        others = front[rng.integers(0, len(front), batch)]
        children = np.where(rng.random(parents.shape) < rng.choice([0.0, 0.2, 0.5], (batch, 1)), others, parents)
        mutate = rng.random(parents.shape) < rng.choice([1, 2, 4], (batch, 1)) / problem.genes
        children = np.where(mutate, problem.random(batch, rng), children)
        if generation % 20 == 19:
            children = np.vstack([children, _neighbours(problem, front)])
        front = _front(problem, np.vstack([front, children]))
    while True:
        better = _front(problem, np.vstack([front, _neighbours(problem, front)]))
        if len(better) == len(front) and (better == front).all():
            return front
        front = better


def _neighbours(problem: Problem, front: Codes) -> Codes:
    mutants = []
    for gene, size in enumerate(problem.sizes):
        for choice in range(size):
            changed = front.copy()
            changed[:, gene] = choice
            mutants.append(changed)
    return np.vstack(mutants)


def _front(problem: Problem, codes: Codes) -> Codes:
    costs, errors = _costs_and_errors(problem, codes)
    order = np.lexsort((errors, costs))
    order = order[costs[order] <= problem.limit]
    best = np.minimum.accumulate(np.concatenate([[np.inf], errors[order]]))
    return codes[order[errors[order] < best[:-1]]]


def _costs_and_errors(problem: Problem, codes: Codes) -> tuple[Floats, Floats]:
    return problem.macs(codes), problem.error(codes)

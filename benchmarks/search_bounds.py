"""What no sampler and no rule of early stopping can beat on the table of trained networks.

    python -m benchmarks.search_bounds

Trainings to a share of the best hypervolume, for a search that knows all structure of the table and none of its luck:
each network is predicted by a Gaussian process from all other networks, and the one with the largest expected gain is
trained next. Epochs to a share, for known-cost with a rule that knows after so many epochs what a network is worth,
stops those that the cheaper ones so far leave no place on the front, and tells the sampler their accuracy all the same.
"""

import argparse
import math
from itertools import accumulate

import numpy as np
import optuna

from benchmarks.peers import PEERS
from benchmarks.search_efficiency import median, reached
from benchmarks.tables.table import EPOCHS, Table
from benchmarks.tasks import TableTask
from bsconv_nas.samplers.acquisition import FrontSteps, expected_improvement
from bsconv_nas.samplers.encoding import Encoder
from bsconv_nas.samplers.gp import Floats, Kernel, fit
from bsconv_nas.spaces.genes import Genotype

SHARES = (0.90, 0.95)
_TRIALS = 120


def inside(task: TableTask) -> list[Genotype]:
    """All networks within the limit, the cheapest first."""
    within = (genotype for genotype in task.space.enumerate() if task.limits.allow(task.space.cost(genotype)))
    return sorted(within, key=lambda genotype: task.space.cost(genotype)["macs"])


def left_out(kernel: Kernel, theta: Floats, covariance: Floats, targets: Floats) -> tuple[Floats, Floats]:
    """Mean and deviation of each target, predicted from all others, with the noise of one more training."""
    noisy = covariance + np.eye(len(targets)) * (kernel.split(theta)[-1] + 1e-6)
    inverse = np.linalg.inv(noisy)
    return targets - inverse @ targets / np.diag(inverse), np.sqrt(1 / np.diag(inverse))


def without_luck(task: TableTask) -> list[float]:
    """Shares after each training of a search that knows the structure."""
    networks = inside(task)
    encoder = Encoder(task.space, task.front.axis, "macs", task.limits, networks[0])
    points = [encoder.point(genotype) for genotype in networks]
    features = encoder.features(points)
    accuracies = [task.true_top1(genotype) for genotype in networks]
    errors = np.log(1 - np.array(accuracies))
    centre, scale = errors.mean(), errors.std()
    kernel = Kernel(encoder.sizes, features.ranks.shape[1])
    theta = fit(kernel, features, (errors - centre) / scale, np.zeros(len(errors)))
    means, deviations = left_out(kernel, theta, kernel.covariance(theta, features, features), (errors - centre) / scale)
    means, deviations = centre + scale * means, scale * deviations
    positions = np.array([point.position for point in points])
    trained: list[int] = []
    shares: list[float] = []
    while len(trained) < len(networks):
        known = [accuracies[i] for i in trained]
        steps = FrontSteps.of(positions[trained].tolist(), [1 - top1 for top1 in known], 1 - task.front.floor, 1.0)
        gains = expected_improvement(steps, positions, means, deviations)
        gains[trained] = -math.inf
        trained.append(int(np.argmax(gains)))
        costs = [task.space.cost(networks[i])["macs"] for i in trained]
        shares.append(task.front.share(costs, [accuracies[i] for i in trained]))
    return shares


def search(task: TableTask, seed: int) -> list[Genotype]:
    """Networks in the order in which known-cost trains them."""
    peer = PEERS["known-cost"](task, seed)
    order: list[Genotype] = []
    for _ in range(_TRIALS):
        order.append(peer.ask())
        peer.tell(order[-1], task.curve(order[-1], seed)[-1], task.space.cost(order[-1])["macs"])
    return order


def foreseen(task: TableTask, order: list[Genotype], epochs: int) -> tuple[list[float], list[int]]:
    """Shares and epochs after each training, when after `epochs` of each it is known what it is worth."""
    costs: list[float] = []
    accuracies: list[float] = []
    shares: list[float] = []
    spent: list[int] = []
    for genotype in order:
        cost, top1 = task.space.cost(genotype)["macs"], task.true_top1(genotype)
        enters = all(top1 > other for at, other in zip(costs, accuracies, strict=True) if at <= cost)
        spent.append(EPOCHS if enters else epochs)
        costs.append(cost)
        accuracies.append(top1)
        shares.append(task.front.share(costs, accuracies))  # those that do not enter add nothing
    return shares, list(accumulate(spent))


def _spent(shares: list[float], spent: list[int], wanted: float) -> int | None:
    number = reached(shares, wanted)
    return None if number is None else spent[number - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for budget in (0.50, 0.25):
        task = TableTask(Table.read(), budget)
        shares = without_luck(task)
        print(f"{task.name}: trainings without luck", *(f"to {s:.0%}: {reached(shares, s)}" for s in SHARES), sep="  ")
        orders = [search(task, seed) for seed in range(arguments.seeds)]
        for epochs in (1, 2, 3, 4, EPOCHS):
            runs = [foreseen(task, order, epochs) for order in orders]
            ends = {s: median([_spent(shares, spent, s) for shares, spent in runs]) for s in SHARES}
            print(f"{task.name}: known after {epochs} epochs", *(f"to {s:.0%}: {n}" for s, n in ends.items()), sep="  ")


if __name__ == "__main__":
    main()

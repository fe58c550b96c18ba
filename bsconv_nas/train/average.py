"""Averaged weights: often more accurate than the last ones, for the price of a copy."""

import copy

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """A copy of a network that follows it as an exponential moving average of weights and statistics.

    Args:
        network: on its device.
        ema: share in (0, 1) of the old average kept at each step.
    """

    def __init__(self, network: nn.Module, ema: float) -> None:
        self.network = copy.deepcopy(network)
        self._ema = ema
        pairs = list(zip(_tensors(self.network), _tensors(network), strict=True))
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counts = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step number `step`, from 0.

        The memory of the average grows with the steps, so that it soon forgets the first weights.
        """
        decay = min(self._ema, step / (10 + step))
        averages, values = (list(tensors) for tensors in zip(*self._floats, strict=True))
        get_ema_multi_avg_fn(decay)(averages, values, step)
        for average, value in self._counts:
            average.copy_(value)


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [*network.parameters(), *network.buffers()]

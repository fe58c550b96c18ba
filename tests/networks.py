"""Networks as they are after a training, without one: for tests that compare outputs."""

import torch
from torch import nn


def settled(network: nn.Module, size: tuple[int, ...], passes: int = 8) -> nn.Module:
    """The network in eval mode after its normalisations saw random images, with statistics and scales unlike 0 and 1.

    Without that its activations may grow or vanish layer by layer, and rounding would be all that is compared.
    """
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.5
            with torch.no_grad():
                module.weight.copy_(1 + 0.2 * torch.rand(module.weight.shape, generator=generator))
                module.bias.copy_(0.2 * torch.rand(module.bias.shape, generator=generator))
    network.train()
    with torch.no_grad():
        for _ in range(passes):
            network(torch.rand(max(size[0], 8), *size[1:], generator=generator))
    return network.eval()

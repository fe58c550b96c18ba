"""Build the torch network of an architecture."""

import torch
from torch import Tensor, nn

from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.nn.blocks import Block, ConvUnit, InputNorm


class Network(nn.Module):
    """The classifier that an `ArchSpec` describes.

    Maps images (N, in_channels, H, W), float in [0, 1], to logits (N, num_classes). Input normalisation is part of
    the network. Layer names are those of the rows of `cost_of(arch).layers`.
    """

    def __init__(self, arch: ArchSpec) -> None:
        super().__init__()
        self.arch = arch
        stem, head = arch.stem, arch.head
        self.norm = InputNorm(arch.in_channels)
        self.stem = ConvUnit(arch.in_channels, stem.out_channels, stem.kernel_size, stem.stride, stem.activation)
        self.blocks = nn.Sequential(*(Block(block, channels) for channels, block in arch.blocks_with_inputs()))
        last = arch.blocks[-1].out_channels if arch.blocks else stem.out_channels
        self.head = ConvUnit(last, head.channels, 1, 1, head.activation) if head.channels else nn.Identity()
        self.dropout = nn.Dropout(head.dropout)
        self.classifier = nn.Linear(arch.features, arch.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(self.blocks(self.stem(self.norm(x))))
        return self.classifier(self.dropout(x.mean((2, 3))))


def build(arch: ArchSpec, seed: int | None = None) -> Network:
    """Build the network of `arch` with initial weights, in float32 on the CPU.

    Convolutions start with variance 1 / fan-in: batch normalisation follows each chain, so only relative scales matter,
    and a fan-out rule would make depthwise weights vanish. The first pointwise of BSConv-S starts with orthonormal
    rows, where its regulariser is zero. `seed` makes the weights a function
    of the seed alone and leaves torch's global generator as it was; without one the global generator is used.
    """
    if seed is None:
        return _initialised(Network(arch))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed: that reseeds every CUDA device as well
        return _initialised(Network(arch))


def _initialised(network: Network) -> Network:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
    for module in network.modules():
        weight_of = getattr(module, "orthonormal_weight", None)
        if weight_of is not None:
            with torch.no_grad():
                nn.init.orthogonal_(weight_of())
    return network

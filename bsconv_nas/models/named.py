"""Networks by name: the references of this package, and classifiers of torchvision as `torchvision:NAME`."""

from contextlib import nullcontext

import torch
from torch import nn

from bsconv_nas.base.text import did_you_mean
from bsconv_nas.errors import UsageError
from bsconv_nas.models import get_model

TORCHVISION = "torchvision:"


def build_named(name: str, num_classes: int | None, seed: int | None = None, device: str | None = None) -> nn.Module:
    """Build a reference network or `torchvision:NAME` (None: their usual number of classes).

    `seed` makes the initial weights a function of the seed alone and leaves torch's global generator as it was. On
    `device` "meta" a network has shapes but no weights.

    Raises:
        UsageError: an unknown name.
    """
    if seed is not None:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return build_named(name, num_classes, device=device)
    placed = nullcontext() if device is None else torch.device(device)
    if not name.startswith(TORCHVISION):
        with placed:
            return get_model(name, num_classes)
    import torchvision  # not within `placed`: torch 2.7 and 2.8 cannot import what it imports there

    known = torchvision.models.list_models(module=torchvision.models)
    short = name.removeprefix(TORCHVISION)
    if short not in known:
        raise UsageError(f"torchvision has no classifier {short!r}; {did_you_mean(short, known)}")
    with placed:
        return torchvision.models.get_model(short, num_classes=num_classes or 1000)

"""Run a model once and count what each module does; `bsconv_nas.nn.profile` makes a table of it."""

import math
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from bsconv_nas.errors import UsageError

Shape = tuple[int, ...] | None


class Count(NamedTuple):
    """FLOPs and MACs of one call, as defined in `bsconv_nas.nn.profile`."""

    flops: int
    macs: int


@dataclass(slots=True)
class Calls:
    """What a module did itself, without the modules within.

    `flops` and the shapes are of the last call, `macs` of all. `products` are multiply-accumulates between
    activations (attention), which are not part of `macs`.
    """

    count: int = 0
    in_shape: Shape = None
    out_shape: Shape = None
    flops: int = 0
    macs: int = 0
    products: int = 0


def _convolution(module: Any, x: Tensor, y: Tensor) -> Count:
    macs = y.numel() * module.in_channels // module.groups * math.prod(module.kernel_size)
    return Count(macs + _bias(module, y), macs)


def _transposed_convolution(module: Any, x: Tensor, y: Tensor) -> Count:
    macs = x.numel() * module.out_channels // module.groups * math.prod(module.kernel_size)
    return Count(macs + _bias(module, y), macs)


def _linear(module: Any, x: Tensor, y: Tensor) -> Count:
    macs = x.numel() * module.out_features
    return Count(macs + _bias(module, y), macs)


def _batch_norm(module: Any, x: Tensor, y: Tensor) -> Count:
    return Count(x.numel() * (2 if module.affine else 1), 0)


def _output(module: Any, x: Tensor, y: Tensor) -> Count:
    return Count(y.numel(), 0)


def _input(module: Any, x: Tensor, y: Tensor) -> Count:
    return Count(x.numel(), 0)


def _nothing(module: Any, x: Tensor, y: Tensor) -> Count:
    return Count(0, 0)


def _bias(module: Any, y: Tensor) -> int:
    return 0 if module.bias is None else y.numel()


_POOLS = tuple(
    getattr(nn, f"{pooling}Pool{n}d") for pooling in ("Max", "Avg", "AdaptiveMax", "AdaptiveAvg") for n in (1, 2, 3)
)
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)

RULES: tuple[tuple[tuple[type[nn.Module], ...], Callable[[Any, Tensor, Tensor], Count]], ...] = (
    ((nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution),
    ((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _transposed_convolution),
    ((nn.Linear,), _linear),
    ((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm), _batch_norm),
    ((nn.ReLU,), _output),
    (_POOLS, _input),
    ((nn.Identity, nn.Flatten, nn.Unflatten, *_DROPOUTS), _nothing),
)


def has_rule(module: nn.Module) -> bool:
    """Whether both columns know this type; of others only functional convolutions and matrix products are seen."""
    return any(isinstance(module, types) for types, _ in RULES)


def measure(model: nn.Module, example: Tensor) -> dict[nn.Module, Calls]:
    """Run `model(example)` in eval mode without gradients and count; modules that did not run are not in the result.

    Mode, buffers, hooks and random states are afterwards what they were, also if the model raises.
    """
    counter = _Counter()
    with ExitStack() as stack:
        stack.enter_context(_left_as_it_was(model, example))
        for module in model.modules():
            stack.callback(module.register_forward_pre_hook(counter.enter).remove)
            stack.callback(module.register_forward_hook(counter.leave, with_kwargs=True).remove)
        stack.enter_context(torch.no_grad())
        stack.enter_context(counter)
        model(example)
    return counter.calls


class _Counter(TorchDispatchMode):
    """Sees every call through hooks, and every operation inside through torch's dispatcher."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[nn.Module, Calls] = {}
        self._running: list[nn.Module] = []

    def enter(self, module: nn.Module, args: Any) -> None:
        self.calls.setdefault(module, Calls())
        self._running.append(module)

    def leave(self, module: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        self._running.pop()
        calls = self.calls[module]
        calls.count += 1
        x = next((value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)), None)
        calls.in_shape = None if x is None else tuple(x.shape[1:])
        calls.out_shape = tuple(out.shape[1:]) if isinstance(out, Tensor) else None
        if x is not None and isinstance(out, Tensor):
            for types, rule in RULES:
                if isinstance(module, types):
                    count = rule(module, x, out)
                    calls.flops = count.flops
                    calls.macs += count.macs
                    break

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None and self._running and not has_rule(self._running[-1]):
            macs = formula(*args, **(kwargs or {}), out_val=out) // 2
            calls = self.calls[self._running[-1]]
            if _has_weight(func.overloadpacket, args):
                calls.macs += macs
            else:
                calls.products += macs
        return out


def _has_weight(operation: Any, args: tuple[Any, ...]) -> bool:
    """Whether an operation is a convolution or linear layer, by its form: two batches of matrices are activations."""
    aten = torch.ops.aten
    if operation is aten.bmm:
        # What a linear layer without bias becomes on strided input: one weight, expanded to a batch.
        return args[1].stride(0) == 0
    return operation in (aten.mm, aten.addmm, aten.convolution)


@contextmanager
def _left_as_it_was(model: nn.Module, example: Tensor) -> Generator[None, None, None]:
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(module, dict(module.named_buffers(recurse=False))) for module in model.modules()]
    copies = {id(buffer): buffer.clone() for _, named in buffers for buffer in named.values()}
    # In eval mode attention would run as one fused operation, whose products cannot be seen.
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.random.fork_rng(devices=[example.device] if example.is_cuda else []):
            model.eval()
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for module, training in modes:
            module.training = training
        with torch.no_grad():
            for module, named in buffers:
                _restore_buffers(module, named, copies)


def _restore_buffers(module: nn.Module, named: dict[str, Tensor], copies: dict[int, Tensor]) -> None:
    for name in dict(module.named_buffers(recurse=False)).keys() - named.keys():
        delattr(module, name)
    for name, buffer in named.items():
        copy = copies[id(buffer)]
        if not buffer.is_meta and not torch.equal(buffer, copy):
            buffer.copy_(copy)
        if getattr(module, name, None) is not buffer:
            setattr(module, name, buffer)


def device_and_dtype(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Those of the first floating-point parameter or buffer; the CPU and float32 for a model without any.

    Raises:
        UsageError: lazy modules that have not seen an input yet, so their parameters do not exist.
    """
    for name, parameter in model.named_parameters():
        if isinstance(parameter, nn.UninitializedParameter):
            raise UsageError(f"parameter {name} has no shape yet; run the model once, then profile it")
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.float32

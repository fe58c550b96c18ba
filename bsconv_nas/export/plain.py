"""`model.py` of a network that has no architecture file: its layers and its forward pass, line by line."""

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node
from torch.fx.proxy import TraceError

from bsconv_nas.errors import UsageError
from bsconv_nas.export.fold import traced

_OPERATORS = {operator.add: "+", operator.iadd: "+", operator.mul: "*", operator.sub: "-", operator.truediv: "/"}
# Default values that some releases of torch show in a `repr` and others do not: left out for the same file with each.
_DEFAULTS = (
    ", eps=1e-05",
    ", momentum=0.1",
    ", affine=True",
    ", track_running_stats=True",
    ", bias=True",
    ", stride=(1, 1)",
)
_VARIABLES = ("x", "y", "z", "u", "v", "w")
_HEADER = '''"""Network {title}.

Plain PyTorch: needs torch, and safetensors to load the weights.

    from model import load
    network = load()            # reads model.safetensors beside this file
    logits = network(images)    # float32 (N, C, H, W) in [0, 1], RGB
"""

from pathlib import Path

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """The whole classifier: images to logits (N, classes)."""

    def __init__(self) -> None:
        super().__init__()
'''
_FORWARD = """
    def forward(self, x: Tensor) -> Tensor:
"""
_FOOTER = '''

def build() -> Network:
    """The network with random weights."""
    return Network()


def load(path: str | Path | None = None) -> Network:
    """The network with its trained weights (by default those beside this file), ready for inference."""
    from safetensors.torch import load_file

    network = build()
    network.load_state_dict(load_file(path or Path(__file__).with_name("model.safetensors")))
    return network.eval()
'''


def plain_model(network: nn.Module, title: str) -> tuple[str, dict[str, Tensor]]:
    """Source of a module that rebuilds `network`, and the weights under the names that it uses.

    The names are those of the network with underscores for dots, without the prefix "backbone.".

    Raises:
        UsageError: the forward pass depends on its input, or uses something else than functions and layers of torch.
    """
    try:
        graph = traced(network.eval())
    except TraceError as error:
        raise UsageError(f"the forward pass of {title} cannot be written as a file: {error}") from error
    modules = list(dict.fromkeys(str(node.target) for node in graph.graph.nodes if node.op == "call_module"))
    layers = [f"        self.{_flat(name)} = {_constructor(graph.get_submodule(name))}" for name in modules]
    source = _HEADER.format(title=title) + "\n".join(layers) + "\n" + _FORWARD
    source += "\n".join(_lines(list(graph.graph.nodes))) + "\n" + _FOOTER
    return source, _weights(network, modules)


def _flat(name: str) -> str:
    flat = name.removeprefix("backbone.").replace(".", "_")
    return f"layer_{flat}" if flat[0].isdigit() else flat


def _constructor(module: nn.Module) -> str:
    """The call that makes a module: for those of torch.nn that is their `repr`."""
    if not type(module).__module__.startswith("torch.nn.") or "\n" in repr(module):
        raise UsageError(f"{type(module).__name__} is no layer of torch.nn, so it cannot be written as a file")
    text = repr(module)
    for default in _DEFAULTS:
        text = text.replace(default, "")
    return f"nn.{text}"


def _weights(network: nn.Module, modules: Sequence[str]) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for name in modules:
        for key, tensor in network.get_submodule(name).state_dict().items():
            weights[f"{_flat(name)}.{key}"] = tensor.detach().contiguous()
    return weights


def _lines(nodes: Sequence[Node]) -> Iterator[str]:
    """A line for each operation. The variable of a value is used again after the last line that reads the value."""
    last_reader = {value: node for node in nodes for value in node.all_input_nodes}
    variables: dict[Node, str] = {}
    for node in nodes:
        if node.op == "placeholder":
            variables[node] = "x"
            continue
        inputs = [variables[value] for value in node.all_input_nodes]
        expression = _expression(node, variables)
        if node.op == "output":
            yield f"        return {expression}"
            return
        dying = [variables[value] for value in node.all_input_nodes if last_reader[value] is node]
        for value in node.all_input_nodes:
            if last_reader[value] is node:
                del variables[value]
        free = [name for name in _VARIABLES if name not in variables.values()]
        if not free:
            raise UsageError("too many values are alive at once for a readable file")
        variables[node] = next((name for name in inputs if name in dying), free[0])
        yield f"        {variables[node]} = {expression}"


def _expression(node: Node, variables: dict[Node, str]) -> str:
    arguments = [_argument(value, variables) for value in node.args]
    keywords = [f"{key}={_argument(value, variables)}" for key, value in node.kwargs.items()]
    inside = ", ".join(arguments + keywords)
    target: Any = node.target
    if node.op == "output":
        return arguments[0]
    if node.op == "call_module":
        return f"self.{_flat(str(target))}({inside})"
    if node.op == "call_method":
        return f"{arguments[0]}.{target}({', '.join(arguments[1:] + keywords)})"
    if target in _OPERATORS:
        return f"{arguments[0]} {_OPERATORS[target]} {arguments[1]}"
    for module, prefix in ((nn.functional, "nn.functional"), (torch, "torch")):
        if getattr(module, getattr(target, "__name__", ""), None) is target:
            return f"{prefix}.{target.__name__}({inside})"
    raise UsageError(f"{target} is no function of torch, so it cannot be written as a file")


def _argument(value: Any, variables: dict[Node, str]) -> str:
    if isinstance(value, Node):
        return variables[value]
    if isinstance(value, tuple | list):
        items = [_argument(item, variables) for item in value]  # pyright: ignore[reportUnknownVariableType]
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    return repr(value)

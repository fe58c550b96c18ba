"""The network with fewer operations, for inference: normalisation folded, pointwise convolutions merged."""

import copy

import torch
from torch import nn
from torch.fx import GraphModule, Node, Tracer
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bsconv_nas.networks.operations import worth_merging


def folded(network: nn.Module) -> GraphModule:
    """A copy of `network` in eval mode in which each batch normalisation after a convolution is part of it.

    Two 1x1 convolutions in a row, as in BSConv-S, become one where that needs no more multiply-accumulates per pixel:
    M N for M to N channels, instead of M' (M + N) by way of M' channels. Both are exact up to rounding. Input
    normalisation is not folded into the first convolution, because its zero padding would then have another meaning.
    """
    graph = traced(copy.deepcopy(network).cpu().eval())
    for node in list(graph.graph.nodes):
        if isinstance(_module(graph, node), nn.BatchNorm2d):
            _fold_normalisation(graph, node)
    for node in list(graph.graph.nodes):
        _merge_pointwise(graph, node)
    graph.graph.lint()
    graph.recompile()
    graph.delete_all_unused_submodules()
    return graph


def traced(network: nn.Module) -> GraphModule:
    """The network as a graph of torch's own modules and functions."""
    return GraphModule(network, Tracer().trace(network))


def _module(graph: GraphModule, node: object) -> nn.Module | None:
    if isinstance(node, Node) and node.op == "call_module":
        return graph.get_submodule(str(node.target))
    return None


def _only_input(graph: GraphModule, node: Node) -> tuple[Node, nn.Conv2d] | None:
    """The convolution that `node` follows, if nothing else uses its output."""
    before = node.args[0] if node.args else None
    module = _module(graph, before)
    if isinstance(before, Node) and isinstance(module, nn.Conv2d) and len(before.users) == 1:
        return before, module
    return None


def _fold_normalisation(graph: GraphModule, node: Node) -> None:
    convolution_before = _only_input(graph, node)
    if convolution_before is not None:
        before, convolution = convolution_before
        normalisation = _module(graph, node)
        assert isinstance(normalisation, nn.BatchNorm2d), "the caller has checked"
        graph.set_submodule(str(before.target), fuse_conv_bn_eval(convolution, normalisation))
        _remove(graph, node, before)


def _merge_pointwise(graph: GraphModule, node: Node) -> None:
    second = _module(graph, node)
    if not isinstance(second, nn.Conv2d) or not _is_pointwise(second):
        return
    convolution_before = _only_input(graph, node)
    if convolution_before is None or not _is_pointwise(convolution_before[1]):
        return
    before, first = convolution_before
    if worth_merging(first.in_channels, first.out_channels, second.out_channels):
        graph.set_submodule(str(before.target), _merged(first, second))
        _remove(graph, node, before)


def _is_pointwise(convolution: nn.Conv2d) -> bool:
    plain = convolution.kernel_size == (1, 1) and convolution.stride == (1, 1) and convolution.groups == 1
    return plain and convolution.padding == (0, 0)


@torch.no_grad()
def _merged(first: nn.Conv2d, second: nn.Conv2d) -> nn.Conv2d:
    """One 1x1 convolution that computes second(first(x)); the product of the weights is taken in float64."""
    one, two = first.weight.flatten(1).double(), second.weight.flatten(1).double()
    merged = nn.Conv2d(first.in_channels, second.out_channels, 1, bias=True)
    assert merged.bias is not None, "bias=True"
    bias = torch.zeros(len(two), dtype=torch.float64) if second.bias is None else second.bias.double()
    if first.bias is not None:
        bias = bias + two @ first.bias.double()
    merged.weight.copy_((two @ one)[:, :, None, None])
    merged.bias.copy_(bias)
    return merged


def _remove(graph: GraphModule, node: Node, by: Node) -> None:
    node.replace_all_uses_with(by)
    graph.graph.erase_node(node)

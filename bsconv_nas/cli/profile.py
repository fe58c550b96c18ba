"""`bsconv-nas profile`."""

import json
from typing import Annotated

import typer

from bsconv_nas.cli.console import DirOption, JsonOption, StorageOption, out, print_json
from bsconv_nas.cli.tables import cost_table
from bsconv_nas.cli.targets import NETWORK_HELP, find_target
from bsconv_nas.networks.arch import ArchSpec
from bsconv_nas.networks.cost import cost_of
from bsconv_nas.networks.metrics import layer_costs
from bsconv_nas.study.locate import DEFAULT_DIR


def profile(
    network: Annotated[str | None, typer.Argument(metavar="NETWORK", help=NETWORK_HELP)] = None,
    trial: Annotated[int | None, typer.Option(metavar="N", help="Trial of the study (default: the best).")] = None,
    classes: Annotated[int | None, typer.Option(help="Classes of a named network. (default: as usual)")] = None,
    image_size: Annotated[int | None, typer.Option(help="Pixels of a named network. (default: as usual)")] = None,
    directory: DirOption = DEFAULT_DIR,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show MACs, parameters and memory of a network, layer by layer."""
    target = find_target(network, trial, directory, storage)
    if target.arch is None:
        _show_named(target.name, classes, image_size, as_json)
    else:
        _show_arch(target.name, target.arch, as_json)


def _show_arch(title: str, arch: ArchSpec, as_json: bool) -> None:
    cost = cost_of(arch)
    if as_json:
        layers = [{**layer._asdict(), **layer_costs(layer)} for layer in cost.layers]
        print_json({"arch_id": arch.arch_id, **cost.as_dict(), "layers": layers})
        return
    height, width = arch.image_size
    out.print(f"{title}: network {arch.arch_id}, {height}x{width} px, {arch.num_classes} classes", highlight=False)
    out.print(cost_table(arch, cost))


def _show_named(name: str, classes: int | None, image_size: int | None, as_json: bool) -> None:
    from bsconv_nas.models.named import build_named
    from bsconv_nas.nn.profile import ModelProfiler

    model = build_named(name, classes, device="meta")
    usual = getattr(model, "in_size", (224, 224))
    height, width = (image_size, image_size) if image_size else usual
    profile_of_model = ModelProfiler(model, (1, 3, height, width))
    if as_json:
        print_json({"network": name, **json.loads(profile_of_model.to_json())})
    else:
        out.print(f"{name}, {height}x{width} px", highlight=False)
        out.print(profile_of_model.to_table(), highlight=False, markup=False, soft_wrap=True)

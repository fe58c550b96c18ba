"""`bsconv-nas spaces`."""

from typing import Annotated

import typer
from rich import box
from rich.table import Table

from bsconv_nas.base.limits import Limits
from bsconv_nas.base.units import parse_amount
from bsconv_nas.cli.console import JsonOption, out, print_json
from bsconv_nas.cli.space_facts import facts_line, space_facts
from bsconv_nas.errors import UsageError
from bsconv_nas.spaces.files import find_space, space_names
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.spaces.references import references_in

app = typer.Typer(help="List the search spaces and look into one.", no_args_is_help=False)


@app.callback(invoke_without_command=True)
def default(context: typer.Context) -> None:
    """List the search spaces and look into one."""
    if context.invoked_subcommand is None:
        list_spaces(as_json=False)


@app.command("list")
def list_spaces(as_json: JsonOption = False) -> None:
    """List the packaged spaces."""
    spaces = [find_space(name) for name in space_names()]
    if as_json:
        print_json([{"name": s.name, "title": s.title, "image_size": list(s.image_size)} for s in spaces])
        return
    table = Table(box=box.SIMPLE_HEAD)
    for header in ("space", "for images of", "title"):
        table.add_column(header)
    for space in spaces:
        low, high = space.image_size
        table.add_row(space.name, f"{low} to {high} px", space.title)
    out.print(table)
    out.print(
        "`bsconv-nas spaces show NAME --flops 300M` tells more; `search --space` takes a name or a file of yours."
    )


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A packaged space or a TOML file.")],
    flops: Annotated[str | None, typer.Option("--flops", "--macs", metavar="AMOUNT", help="Budget: 20M.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Pixels. (default: the usual size of the space)")] = None,
    classes: Annotated[int, typer.Option(help="Number of classes.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show a space: the number of its networks, their MACs, the share of them within a budget, its genes."""
    definition = find_space(name)
    usual = definition.usual_size or min(224, definition.image_size[1])
    side = usual if image_size is None else image_size
    if not 1 <= side <= 4096:
        raise UsageError(f"--image-size is {side}; allowed: 1 to 4096")
    space = ArchSpace(definition, (side, side), classes)
    limits = Limits({"macs": parse_amount(flops, "--flops")} if flops else {})
    facts = {**space_facts(space, limits), "references": list(references_in(space))}
    if as_json:
        print_json(facts)
        return
    out.print(
        f"[bold]{definition.name}[/bold]: {definition.title}\n{definition.description.strip()}\n", highlight=False
    )
    out.print(f"At {side}x{side} px with {classes} classes: {facts_line(facts, limits)}", highlight=False)
    out.print(_genes_table(space))
    contained = ", ".join(facts["references"]) or "none at this size"
    out.print(f"Hand-made networks in it: {contained}", highlight=False)


def _genes_table(space: ArchSpace) -> Table:
    """Genes with their choices; those of a stage's layers are shown once."""
    table = Table(box=box.SIMPLE_HEAD)
    for header in ("gene", "choices"):
        table.add_column(header)
    for gene in space.genes:
        stage, _, rest = gene.name.partition(".")
        if rest.startswith("l") and not rest.startswith("l1."):
            continue
        name = f"{stage}.l*.{rest[3:]}" if rest.startswith("l1.") else gene.name
        table.add_row(name, "  ".join(map(str, gene.choices)))
    return table

"""`bsconv-nas spaces`."""

from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from bsconv_nas.base.limits import Limits
from bsconv_nas.base.units import format_amount, parse_amount
from bsconv_nas.cli.console import JsonOption, out, print_json
from bsconv_nas.errors import UsageError
from bsconv_nas.spaces.files import find_space, space_names
from bsconv_nas.spaces.genes import extreme
from bsconv_nas.spaces.networks import ArchSpace
from bsconv_nas.spaces.references import references_in
from bsconv_nas.spaces.share import share_within

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
    facts = {**_facts(space, limits), "references": list(references_in(space))}
    if as_json:
        print_json(facts)
        return
    out.print(
        f"[bold]{definition.name}[/bold]: {definition.title}\n{definition.description.strip()}\n", highlight=False
    )
    out.print(f"At {side}x{side} px with {classes} classes: {_line(facts, limits)}", highlight=False)
    out.print(_genes_table(space))
    contained = ", ".join(facts["references"]) or "none at this size"
    out.print(f"Hand-made networks in it: {contained}", highlight=False)


def space_facts(space: ArchSpace, limits: Limits) -> str:
    """One line: how many networks, which costs, how many within the limits."""
    return _line(_facts(space, limits), limits)


def _line(facts: dict[str, Any], limits: Limits) -> str:
    least, most = facts["macs_range"]
    text = f"{facts['name']}: {facts['networks']:.1e} networks of {format_amount(least)} to {format_amount(most)} MACs"
    return f"{text}; {_share_text(facts['share_within_limits'])} {limits}" if limits.bounds else text


def _share_text(share: float) -> str:
    """A share of random networks, with its verb: `1.6 % of random ones have`, `about 1 in 50 000 random ones has`."""
    if share >= 0.001:
        return f"{100 * share:.3g} % of random ones have"
    if share == 0:
        return "fewer than 1 in 1 000 000 random ones have"
    rounded = float(f"{1 / share:.1g}")
    return f"about 1 in {rounded:,.0f} random ones has".replace(",", " ")


def _facts(space: ArchSpace, limits: Limits) -> dict[str, Any]:
    cheapest = extreme(space, lambda genotype: space.cost(genotype)["macs"])
    largest = extreme(space, lambda genotype: -space.cost(genotype)["macs"])
    return {
        "name": space.name,
        "networks": space.size,
        "genes": len(space.genes),
        "macs_range": [int(space.cost(cheapest)["macs"]), int(space.cost(largest)["macs"])],
        "limits": dict(limits.bounds),
        "share_within_limits": share_within(space, limits),
    }


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

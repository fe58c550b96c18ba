"""Tables of a final comparison for the terminal, in which nothing is cut."""

from collections.abc import Iterable
from itertools import groupby

from rich import box
from rich.table import Table

from bsconv_nas.final import margins
from bsconv_nas.final.margins import Row
from bsconv_nas.final.results import cells, columns_of, headers

_WIDE = 100  # columns from which the table has them all


def networks_table(rows: Iterable[Row], width: int) -> Table:
    """The networks by kind, for a terminal of so many columns: a narrow one shows less of each."""
    rows = list(rows)
    costs = columns_of(rows) if width >= _WIDE else ["macs"]
    left_out = {""} if width >= _WIDE else {"", "brief val"}  # the kind goes without saying: it is in names
    titles = headers(costs)
    shown = [index for index, header in enumerate(titles) if header not in left_out]
    table = Table(box=box.SIMPLE_HEAD)
    for index in shown:
        _add_column(table, titles[index], name=titles[index] == "network")
    for kind, of_kind in groupby(rows, key=lambda row: row.kind):
        for row in of_kind:
            texts = cells(row, costs)
            table.add_row(*(texts[index] for index in shown), style="bold green" if kind == "searched" else None)
        table.add_section()
    return table


def margins_table(leads: Iterable[margins.Margin]) -> Table:
    """How far the found networks are ahead; what is beyond its interval stands out."""
    table = Table(box=box.SIMPLE_HEAD)
    for header in margins.HEADERS:
        _add_column(table, header, name=header in ("found", "best other"))
    for margin in leads:
        clear = margin.half_width is not None and margin.difference > margin.half_width
        table.add_row(*margins.cells(margin), style="bold green" if clear else None)
    return table


def _add_column(table: Table, header: str, name: bool) -> None:
    """A column that is never cut; names may take several lines."""
    table.add_column(header, justify="left" if name else "right", overflow="fold", no_wrap=not name)

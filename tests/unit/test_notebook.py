"""The interactive figure of a front."""

import math

from bsconv_nas import plot_front
from bsconv_nas.api import search
from tests.searches import LIMITS, table_space, table_top1


def test_the_figure_shows_front_others_and_budget() -> None:
    study = search(table_space(), table_top1, LIMITS, "random", 12)
    figure = plot_front(study)
    others, front = figure.data
    assert list(front.x) == [record.cost["macs"] for record in study.front()]
    assert list(front.y) == [100 * (record.top1 or 0) for record in study.front()]
    assert len(others.x) + len(front.x) == 12
    assert front.line.shape == "hv"
    assert figure.layout.shapes[0].x0 == LIMITS["macs"]
    assert figure.layout.annotations[0].x == math.log10(LIMITS["macs"])
    assert figure.layout.xaxis.type == "log"
    assert "<div" in figure.to_html(include_plotlyjs=False)

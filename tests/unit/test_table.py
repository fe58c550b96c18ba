"""The table of trained networks: its space, its file, and the script that makes it."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.tables import make_table
from benchmarks.tables.table import EPOCHS, FILE, HEADER, Row, Table, arch_of, table_space, unseen_top1
from bsconv_nas.networks.cost import cost_of

SPACE = table_space()
ROW = Row(("U", "S-1/8", 5, 24, 2, 3, "pair"), 1, 10, 20, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8), 0.75, 1.5)


def test_the_space_has_576_networks_all_different() -> None:
    assert len({arch_of(genotype).arch_id for genotype in SPACE.enumerate()}) == SPACE.size == 576


def test_genes_shape_the_network() -> None:
    arch = arch_of(ROW.genotype)
    assert [layer.out_channels for layer in arch.layers] == [24] * 2 + [48] * 3 + [96] * 3
    assert {layer.kernel_size for layer in arch.layers} == {5}
    assert [layer.label for layer in arch.layers] == ["U"] * 2 + ["S-1/8"] * 6
    assert {block.shortcut for block in arch.blocks} == {"identity", "projection"}


def test_rows_of_the_file_are_what_they_say() -> None:
    table = Table.read()
    assert len({(row.genotype, row.seed) for row in table.rows}) == len(table.rows) >= 576
    for row in table.rows[::7]:
        cost = cost_of(arch_of(row.genotype))
        assert (row.macs, row.params) == (cost.macs, cost.params)
        assert len(row.val_top1) == EPOCHS
        assert all(0.05 < top1 < 0.9 for top1 in (*row.val_top1, row.test_top1))
    assert len(table.repeated()) == sum(row.seed for row in table.rows)


def test_a_row_survives_the_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(",".join(HEADER) + "\n" + ",".join(ROW.as_csv()) + "\n")
    assert Table.read(path).row(ROW.genotype, 1) == ROW
    assert Table.read(tmp_path / "none.csv").rows == []


def test_the_plan_trains_each_network_once_and_a_quarter_twice() -> None:
    plan = make_table.plan(Table([]))
    assert len(set(plan)) == len(plan) == 576 + 144
    assert [seed for _, seed in plan] == [0] * 576 + [1] * 144
    assert [genotype for genotype, _ in plan[:576:4]] == [genotype for genotype, _ in plan[576:]]


def test_what_may_be_on_a_front_is_trained_twice() -> None:
    first = [row for row in Table.read().rows if row.seed == 0]
    second = {genotype for genotype, seed in make_table.plan(Table(first)) if seed}
    near = make_table.near_front(Table(first))
    assert second >= set(near)
    median = sorted(row.macs for row in first)[288]
    front = max(unseen_top1(row) for row in first if row.macs <= median)
    assert 144 + 288 > len(second) > 144
    assert all(unseen_top1(row) < front for row in first if row.macs <= median and row.genotype not in second)
    alone = next(row for row in first if row.macs == min(other.macs for other in first))
    assert alone.genotype in near


def test_what_a_network_is_worth_is_the_mean_over_images_and_trainings() -> None:
    first = replace(ROW, seed=0, val_top1=(*ROW.val_top1[:-1], 0.6), test_top1=0.6)
    assert Table([first]).unseen_top1(ROW.genotype) == pytest.approx(0.6)
    assert Table([first, ROW]).unseen_top1(ROW.genotype) == pytest.approx((0.6 + (0.8 + 2 * 0.75) / 3) / 2)


def test_only_missing_rows_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, made = tmp_path / "table.csv", []

    def rows(data: str, left: list, workers: int):
        made.append(len(left))
        yield from (Row(genotype, seed, 1, 1, (0.5,) * EPOCHS, 0.5, 0.0) for genotype, seed in left[:3])

    monkeypatch.setattr(make_table, "rows", rows)
    monkeypatch.setattr("sys.argv", ["make_table", "--data", "x", "--out", str(path)])
    make_table.main()
    make_table.main()
    assert made == [720, 717]
    assert len(Table.read(path).rows) == 6
    assert FILE.name == "cifar10-16px.csv"

"""The benchmarks of training: what they count is what they say."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from benchmarks import fidelity, stages, worker_memory
from benchmarks.fidelity import agreement, report
from bsconv_nas import search
from bsconv_nas.errors import UsageError


def rows(name: str, accuracies: Sequence[float], seconds: float) -> list[dict[str, str]]:
    return [
        {"network": str(i), "fidelity": name, "macs": "1", "val_top1": str(a), "cpu_seconds": str(seconds)}
        for i, a in enumerate(accuracies)
    ]


def test_agreement_of_equal_and_of_opposite_rankings() -> None:
    values = [i / 40 for i in range(40)]
    assert agreement(values, [v**2 for v in values]) == {"kendall_tau": 1.0, "top_decile_recall": 1.0}
    assert agreement(values, values[::-1]) == {"kendall_tau": -1.0, "top_decile_recall": 0.0}


def test_recall_counts_the_best_tenth() -> None:
    full = [float(i) for i in range(20)]  # the best two are 18 and 19
    cheap = [*full[:18], 50.0, 0.5]
    assert agreement(full, cheap)["top_decile_recall"] == 0.5


def test_the_report_compares_networks_that_have_both() -> None:
    found = report([*rows("full", [0.1, 0.2, 0.3], 100), *rows("cheap", [0.1, 0.3], 25), *rows("new", [0.5], 1)])
    assert set(found) == {"cheap"}
    assert found["cheap"]["networks"] == 2
    assert found["cheap"]["kendall_tau"] == 1.0
    assert found["cheap"]["cost"] == 0.25


def test_cost_is_relative_to_the_full_training_that_was_measured_beside() -> None:
    studied, beside = rows(fidelity.FULL, [0.1, 0.2, 0.3], 1000), rows(fidelity.SECOND, [0.1, 0.3], 100)
    found = report([*studied, *beside, *rows("cheap", [0.1, 0.2, 0.3], 25)])
    assert {name: (part["networks"], part["cost"]) for name, part in found.items()} == {
        fidelity.SECOND: (2, 1.0),
        "cheap": (3, 0.25),
    }


def test_trainings_of_studies_are_the_full_ones() -> None:
    space = fidelity._space(32, 10)
    studies = [search(space, lambda _: 0.5, {"macs": 20e6}, "random", trials=3, seed=seed) for seed in range(2)]
    found = fidelity.of_studies(studies, 5, 1)
    assert [record.number for record in found.values()] == [0, 1, 2, 0, 1]
    row = fidelity.row_of(found[next(iter(found))])
    assert set(row) == set(fidelity.HEADER)
    assert (row["fidelity"], row["val_top1"]) == (fidelity.FULL, 0.5)
    with pytest.raises(UsageError, match="trained for 1 epochs, not 2"):
        fidelity.of_studies(studies, 5, 2)


def test_trainings_are_kept_and_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = shlex.split("--data digits --networks 2 --flops 6M --epochs 1 --workers 1 --only full --out")
    monkeypatch.setattr(sys, "argv", ["fidelity", *options, str(tmp_path / "found.json"), "--most", "1"])
    fidelity.main()
    first = (tmp_path / "found.csv").read_text()
    assert first.startswith(",".join(fidelity.HEADER))
    assert len(first.splitlines()) == 2
    monkeypatch.setattr(sys, "argv", sys.argv[:-2])
    fidelity.main()
    both = (tmp_path / "found.csv").read_text()
    assert both.startswith(first)
    assert len(both.splitlines()) == 3
    assert (tmp_path / "found.json").is_file()


def test_networks_are_different_within_the_budget_and_always_the_same() -> None:
    found = fidelity.sample(10, 20e6)
    assert found == fidelity.sample(10, 20e6)
    assert len(set(found)) == 10
    space = fidelity._space(32, 10)
    assert all(space.cost(genotype)["macs"] <= 20e6 for genotype in found)


def test_fidelities_have_different_names_and_one_is_full() -> None:
    names = [way.name for way in fidelity.fidelities(8)]
    assert len(set(names)) == len(names)
    assert "full" in names


def test_memory_of_this_process() -> None:
    found = worker_memory.memory(os.getpid())
    assert 0 < found["uss_mb"] <= found["pss_mb"] <= found["rss_mb"]
    assert found["shared_mb"] + found["uss_mb"] == pytest.approx(found["rss_mb"], rel=0.1)


def test_activations_are_counted_in_the_precision_of_the_training() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.ReLU(), torch.nn.BatchNorm2d(4))
    values = 2 * stages.BATCH * 4 * stages.SIDE**2
    assert stages._activation_bytes(network, "float32") == 4 * values
    assert stages._activation_bytes(network, "bfloat16") == 2 * values


def test_a_part_of_the_data_has_all_classes() -> None:
    from benchmarks.training_throughput import part_of
    from bsconv_nas.data import load_search_data

    data = part_of(load_search_data("digits"), 90)
    assert (len(data.train_images), len(data.val_images)) == (90, 10)
    assert set(data.train_labels.tolist()) == set(range(10))


def test_the_loop_of_bsconv_trains() -> None:
    pytest.importorskip("bsconv", reason="bsconv 0.4.0 is not installed")
    from benchmarks.seed_loop import SeedTraining
    from benchmarks.training_throughput import part_of

    data = part_of(worker_memory.made_up(5), 130)
    assert (len(data.train_images), len(data.val_images)) == (130, 14)
    training = SeedTraining("cifar_resnet20_bsconvs_p1d4", data, 0)
    before = [parameter.clone() for parameter in training.model.parameters()]
    (accuracy,) = training.epochs(1)
    assert 0 <= accuracy <= 1
    assert any(not torch.equal(one, other) for one, other in zip(before, training.model.parameters(), strict=True))

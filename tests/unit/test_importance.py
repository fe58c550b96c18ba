"""Importances of genes: the gene that decides is first."""

import random

from bsconv_nas.study.importance import LEAST_TRIALS, importances, importances_apart


def problem(count: int) -> tuple[list[dict[str, object]], list[float]]:
    rng = random.Random(0)
    genotypes = [
        {"kind": rng.choice("SU"), "width": rng.choice([8, 16, 32]), "fixed": 3, "idle": rng.choice([1, 2])}
        for _ in range(count)
    ]
    return genotypes, [0.8 if genotype["kind"] == "U" else 0.2 + 0.01 * genotype["idle"] for genotype in genotypes]


def test_the_gene_that_decides_is_first() -> None:
    found = importances(*problem(60))
    assert next(iter(found)) == "kind"
    assert found["kind"] > 0.9
    assert "fixed" not in found


def test_too_little_to_say_is_nothing() -> None:
    genotypes, accuracies = problem(LEAST_TRIALS - 1)
    assert importances(genotypes, accuracies) == {}
    assert importances(*[problem(40)[0], [0.5] * 40]) == {}


def test_a_process_of_its_own_says_the_same() -> None:
    assert importances_apart(*problem(30)) == importances(*problem(30))

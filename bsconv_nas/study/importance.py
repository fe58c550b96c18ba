"""Which genes matter for accuracy: Optuna's importances, computed in a process of their own.

In the dashboard's process they would take 100 MB for libraries, and the page would not answer for seconds.
"""

import json
import subprocess
import sys
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution

from bsconv_nas.errors import BsconvNasError

LEAST_TRIALS = 10
MOST_TRIALS = 1000  # only the latest are used: more change the answer little and take minutes
_SECONDS = 120
# Before it imports anything the process takes a low priority, because a search may be running beside it. Not idle
# priority, at which it gets no time at all while all cores are busy.
_PROGRAM = """
import os, runpy
os.nice(10)
runpy.run_module("bsconv_nas.study.importance", run_name="__main__")
"""


def importances(genotypes: list[dict[str, Any]], accuracies: list[float]) -> dict[str, float]:
    """Share of the variance of accuracy that each gene explains (fANOVA), the greatest first; they sum to 1.

    Empty with fewer than `LEAST_TRIALS` trials, or when all accuracies are equal.
    """
    # Loads scikit-learn and pandas: 110 MB, which only the process that computes is to have.
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    if len(genotypes) < LEAST_TRIALS or len(set(accuracies)) < 2:
        return {}
    genotypes, accuracies = genotypes[-MOST_TRIALS:], accuracies[-MOST_TRIALS:]
    spaces = _distributions(genotypes)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            optuna.trial.create_trial(params={k: g[k] for k in spaces}, distributions=spaces, value=a)
            for g, a in zip(genotypes, accuracies, strict=True)
        ]
    )
    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(n_trees=32, max_depth=16, seed=0))
    return {name: round(share, 5) for name, share in shares.items()}


def importances_apart(genotypes: list[dict[str, Any]], accuracies: list[float]) -> dict[str, float]:
    """`importances`, by a child process of low priority.

    Raises:
        BsconvNasError: the process failed, or took longer than two minutes.
    """
    if len(genotypes) < LEAST_TRIALS:
        return {}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            input=json.dumps([genotypes[-MOST_TRIALS:], accuracies[-MOST_TRIALS:]]),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BsconvNasError(f"importances took over {_SECONDS} s on this busy machine; try again later") from error
    if done.returncode != 0:
        raise BsconvNasError(f"importances failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return json.loads(done.stdout)


def _distributions(genotypes: list[dict[str, Any]]) -> dict[str, Any]:
    """Choices that occur, of the genes that all trials have and that differ."""
    names = [name for name in genotypes[0] if all(name in genotype for genotype in genotypes)]
    choices = {name: list(dict.fromkeys(genotype[name] for genotype in genotypes)) for name in names}
    return {name: CategoricalDistribution(values) for name, values in choices.items() if len(values) > 1}


if __name__ == "__main__":
    json.dump(importances(*json.load(sys.stdin)), sys.stdout)

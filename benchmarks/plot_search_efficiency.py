"""Draw the progress of each sampler from the results of `search_efficiency.py`.

    python -m benchmarks.plot_search_efficiency benchmarks/results/search_efficiency.json

Lines are medians over runs, bands the quartiles around them.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np


def bands(runs: list[dict[str, Any]]) -> tuple[list[float], list[float], list[float]]:
    """Lower quartile, median and upper quartile of the share of the best hypervolume, after each training."""
    shares = np.array([run["shares"] for run in runs])
    low, middle, high = np.quantile(shares, [0.25, 0.5, 0.75], axis=0).tolist()
    return low, middle, high


def draw(results: dict[str, Any], path: Path) -> None:
    """One panel per task, one line per sampler."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise SystemExit("the plot needs matplotlib: pip install matplotlib") from error
    figure, axes = plt.subplots(1, len(results), figsize=(4.2 * len(results), 3.6), sharey=True, squeeze=False)
    for axis, (task, samplers) in zip(axes[0], results.items(), strict=True):
        # Searches with early stopping (" + ") are compared by epochs, elsewhere.
        searches = {name: result for name, result in samplers.items() if " + " not in name}
        for number, (name, result) in enumerate(searches.items()):
            low, middle, high = bands(result["runs"])
            trainings = range(1, len(middle) + 1)
            axis.plot(trainings, middle, color=f"C{number}", label=name, linewidth=2.2 if name == "known-cost" else 1.2)
            axis.fill_between(trainings, low, high, color=f"C{number}", alpha=0.12, linewidth=0)
        title = f"table, limit at {task.partition('-')[2]} % of MACs" if task.startswith("table") else f"{task} genes"
        axis.set(title=title, xlabel="networks trained", ylim=(0, 1.02))
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("share of the best hypervolume")
    most = max(axes[0], key=lambda axis: len(axis.lines))  # not every sampler ran on every task
    most.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--to", type=Path, help="default: beside the results")
    arguments = parser.parse_args()
    draw(json.loads(arguments.results.read_text())["results"], arguments.to or arguments.results.with_suffix(".png"))


if __name__ == "__main__":
    main()

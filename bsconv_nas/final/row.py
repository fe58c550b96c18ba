"""What is known of a network after its full trainings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One network. Accuracies are fractions; `test_top1` has one per seed, `interval` is the one at 95 %."""

    kind: str
    name: str
    trial: int | None
    budget: float | None
    macs: int
    params: int
    brief_val_top1: float | None
    test_top1: list[float]
    mean: float
    std: float
    interval: list[float]

"""`SearchOptions`: what a search may be told beside space, evaluator, limits, sampler and study."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bsconv_nas.engine.early_stopping import StoppingRule, find_early_stopping
from bsconv_nas.engine.search import Executor, Observer
from bsconv_nas.study import Study


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Options of `bsconv_nas.search` that are rarely needed: `search(..., options=SearchOptions(epochs=4))`.

    Args:
        image_size: side of the images in pixels, for training on `data`; None: as the data suggests.
        epochs: of each brief training on `data`; None: as the data suggests.
        early_stopping: "none", "forecast" (a training goes on while it may end on the front), "asha" (successive
            halving among networks of no more MACs), or a `StoppingRule`; None: none.
        seconds: time limit of this run; running trials stay resumable.
        epoch_timeout: seconds after which a worker is killed that has not ended an epoch; its trial is tried again.
            None: 20 times the slowest epoch so far, at least 5 minutes. Without workers nothing can be killed.
        references: whether known-cost begins with the hand-made reference networks that are points of the space.
        top1_floor: accuracy below which known-cost counts nothing, 0 up to 1; None: derived from the front.
        warm_start: an earlier study on the same data and space, for known-cost to learn from. Its best networks within
            the limits are trained first.
        fixed: facts that may not change between runs of the study, by name.
        executor: runs the jobs; None: this process, or as many workers as `search` is asked for, each with one core.
        observer: is told what happens.

    Raises:
        UsageError: there is no early stopping of that name.
    """

    image_size: int | None = None
    epochs: int | None = None
    early_stopping: str | StoppingRule | None = None
    seconds: float | None = None
    epoch_timeout: float | None = None
    references: bool = True
    top1_floor: float | None = None
    warm_start: Study | None = None
    fixed: Mapping[str, str] = field(default_factory=dict[str, str])
    executor: Executor | None = None
    observer: Observer | None = None

    def __post_init__(self) -> None:
        _ = self.stopping_rule  # an unknown name is refused here, before images are read

    @property
    def stopping_rule(self) -> StoppingRule | None:
        """The rule that `early_stopping` names or is."""
        rule = self.early_stopping
        return find_early_stopping(rule) if isinstance(rule, str) else rule

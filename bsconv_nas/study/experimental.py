"""Use of Optuna's experimental interfaces without its warning, which a user could do nothing about."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager

from optuna.exceptions import ExperimentalWarning


@contextmanager
def experimental_allowed() -> Generator[None]:
    """Silence Optuna's `ExperimentalWarning` inside a `with` block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield

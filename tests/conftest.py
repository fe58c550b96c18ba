"""Settings and fixtures of all tests: no time limits per example, one torch thread (two processes share two cores)."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from bsconv_nas.spaces.genes import GeneSpace
from tests.searches import table_space

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["COLUMNS"] = "200"

if "BSCONV_NAS_TEST_CACHE" not in os.environ:  # the processes of xdist and those that tests start share the folder
    os.environ["BSCONV_NAS_TEST_CACHE"] = os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="bsconv-nas-tests-")
    atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)

settings.register_profile("default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
# For mutation testing: the same examples each time, and the first one that fails is enough (docs/testing.md).
settings.register_profile(
    "mutants",
    settings.get_profile("default"),
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile("default")


# Folders of tests that start processes, which depend on what else the machine does. One of them that fails is run
# once more; the summary counts it as rerun.
STARTS_PROCESSES = {"integration", "chaos", "browser", "e2e"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if STARTS_PROCESSES & set(Path(item.path).parts):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture
def space() -> GeneSpace:
    """A space of 60 networks; see `table_space`."""
    return table_space()

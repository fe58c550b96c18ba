"""A machine's table of operations and milliseconds, as data: latency of a network without running it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bsconv_nas.base.files import canonical_json, read_limited, write_atomic
from bsconv_nas.errors import UsageError
from bsconv_nas.networks.operations import Operation

LATENCY = "latency_ms"
FILE = "latency.json"
_SCHEMA_VERSION = 1
_MOST_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class LatencyTable:
    """Median milliseconds of operations at batch 1 on one machine.

    The latency of a network is the sum over its operations, times `factor`, which is fitted to whole networks: how much
    more an operation takes in a network than alone. `checks` has predicted and measured milliseconds
    of other whole networks. `space` is the fingerprint of the space whose operations these are.
    """

    space: str
    processor: str
    torch: str
    threads: int
    ms: Mapping[Operation, float]
    factor: float
    checks: tuple[tuple[float, float], ...]

    def sum(self, operations: Iterable[Operation]) -> float:
        """Milliseconds of operations in a row.

        Raises:
            UsageError: an operation that the table lacks.
        """
        try:
            return self.factor * sum(self.ms[operation] for operation in operations)
        except KeyError as missing:
            operation: Operation = missing.args[0]
            raise UsageError(f"the latency table of {self.processor} lacks {operation.key!r}; measure anew") from None

    @property
    def errors(self) -> tuple[float, float]:
        """Median and largest relative error of the checks."""
        errors = [abs(predicted - measured) / measured for predicted, measured in self.checks]
        return median(errors), max(errors)

    @property
    def fingerprint(self) -> str:
        """Hash of everything that costs depend on."""
        return hashlib.sha256(canonical_json(self._data()).encode()).hexdigest()[:12]

    def __str__(self) -> str:
        return f"{self.processor}, {self.threads} thread(s), torch {self.torch}, table {self.fingerprint}"

    def write(self, path: Path) -> None:
        """Write the table as JSON.

        Raises:
            StorageError: the folder cannot be written.
        """
        write_atomic(path, json.dumps({**self._data(), "checks": self.checks}, indent=1) + "\n")

    def _data(self) -> dict[str, Any]:
        return {
            "schema_version": _SCHEMA_VERSION,
            "space": self.space,
            "processor": self.processor,
            "torch": self.torch,
            "threads": self.threads,
            "factor": self.factor,
            "ms": {operation.key: value for operation, value in self.ms.items()},
        }


def read_table(path: Path, space: str, threads: int) -> LatencyTable | None:
    """The table in a file; None where there is none of this space and number of threads, or it is damaged."""
    try:
        data = json.loads(read_limited(path, _MOST_BYTES))
        table = LatencyTable(
            space=str(data["space"]),
            processor=str(data["processor"]),
            torch=str(data["torch"]),
            threads=int(data["threads"]),
            ms={Operation.parse(key): float(value) for key, value in data["ms"].items()},
            factor=float(data["factor"]),
            checks=tuple((float(predicted), float(measured)) for predicted, measured in data["checks"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    fits = (data.get("schema_version"), table.space, table.threads) == (_SCHEMA_VERSION, space, threads)
    return table if fits and table.checks else None

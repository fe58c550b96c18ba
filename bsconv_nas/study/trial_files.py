"""The files of trials beside the database: checkpoints of running trials, weights of the front's members."""

from collections.abc import Iterable
from pathlib import Path

SUFFIX = ".safetensors"


class TrialFiles:
    """Names and removes the files of trials in a study's folder; None: a study that keeps none."""

    def __init__(self, folder: Path | None) -> None:
        # Absolute: workers of a running cluster have another working directory.
        self._folder = folder.absolute() if folder is not None else None

    def checkpoint(self, number: int) -> Path | None:
        """Where the state of an unfinished training is kept."""
        return self._path("checkpoints", number)

    def weights(self, number: int) -> Path | None:
        """Where the final weights are kept."""
        return self._path("weights", number)

    def remove(self, ended: int, weights: Iterable[int] = ()) -> None:
        """Remove the checkpoint of a trial that ended, what a killed worker left half written, and weights."""
        for path in (self.checkpoint(ended), self.weights(ended)):
            if path is not None:
                for half in (*path.parent.glob(f".{path.name}.*"), path.with_suffix(".failure")):
                    half.unlink(missing_ok=True)
        for path in (self.checkpoint(ended), *(self.weights(number) for number in weights)):
            if path is not None:
                path.unlink(missing_ok=True)

    def remove_strays(self, running: set[int], kept: set[int]) -> None:
        """Remove whatever a driver that died had no time for: all but files of running trials and of `kept` ones.

        Half-written files go too: nobody writes while the next driver starts.
        """
        if self._folder is None:
            return
        for kind, numbers in (("checkpoints", running), ("weights", running | kept)):
            wanted = {f"trial-{number:05d}{SUFFIX}" for number in numbers}
            for path in (self._folder / kind).glob("*trial-*"):
                if path.name not in wanted:
                    path.unlink(missing_ok=True)

    def _path(self, kind: str, number: int) -> Path | None:
        return self._folder / kind / f"trial-{number:05d}{SUFFIX}" if self._folder else None

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
        """Remove the checkpoint of a trial that ended, its half-written files, and the weights of these trials."""
        for path in (self.checkpoint(ended), self.weights(ended)):
            if path is not None:
                for half in (*path.parent.glob(f".{path.name}.*"), path.with_suffix(".failure")):
                    half.unlink(missing_ok=True)
        for path in (self.checkpoint(ended), *(self.weights(number) for number in weights)):
            if path is not None:
                path.unlink(missing_ok=True)

    def remove_strays(self, running: set[int], front: set[int]) -> None:
        """Remove all files but checkpoints of `running` trials and weights of `running` trials and of the `front`.

        A driver that died may have left more. Half-written files go too: nobody writes while the next driver starts.
        """
        if self._folder is None:
            return
        for folder, numbers in (("checkpoints", running), ("weights", running | front)):
            wanted = {f"trial-{number:05d}{SUFFIX}" for number in numbers}
            for path in (self._folder / folder).glob("*trial-*"):
                if path.name not in wanted:
                    path.unlink(missing_ok=True)

    def _path(self, folder: str, number: int) -> Path | None:
        return self._folder / folder / f"trial-{number:05d}{SUFFIX}" if self._folder else None

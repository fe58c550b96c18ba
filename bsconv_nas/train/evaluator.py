"""The evaluator of searches on images: builds the network of a job and trains it briefly."""

from collections.abc import Iterator

import numpy as np
import torch

from bsconv_nas.data import ImageData
from bsconv_nas.evaluation import EpochResult, Job
from bsconv_nas.nn.build import Network, build
from bsconv_nas.train.checkpoint import save_weights
from bsconv_nas.train.loop import train
from bsconv_nas.train.memory import free_memory
from bsconv_nas.train.placement import TensorData, place
from bsconv_nas.train.recipe import Recipe


class TrainingEvaluator:
    """Trains the network of each job by `recipe` on `data`.

    Args:
        data: images of the training and validation part.
        recipe: hyperparameters.
        device: "cpu", "cuda" or "cuda:1".
        threads: CPU threads of torch.
        share: part of a GPU's memory that this worker may take, in (0, 1].
    """

    def __init__(
        self, data: ImageData, recipe: Recipe, device: str = "cpu", threads: int = 1, share: float = 1.0
    ) -> None:
        self.recipe = recipe
        self.device = device
        self.threads = threads
        self.share = share
        self.mean, self.std = data.statistics()
        # Plain views of memory maps, so that a shared object store hands them out without a copy.
        self._arrays = [
            np.asarray(part) for part in (data.train_images, data.train_labels, data.val_images, data.val_labels)
        ]
        self._data: TensorData | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_data": None}

    def run(self, job: Job) -> Iterator[EpochResult]:
        try:
            yield from self._train(job)
        finally:
            free_memory(torch.device(self.device))

    def _train(self, job: Job) -> Iterator[EpochResult]:
        assert job.arch is not None, "the search gives an architecture to every job of a space of networks"
        torch.set_num_threads(self.threads)
        if self._data is None:
            self._data = place(self._arrays, self.device, self.share)
        network = build(job.arch, seed=job.seed)
        set_input_statistics(network, self.mean, self.std)
        key = f"{job.arch.arch_id} {job.seed} {self.recipe.identity}"
        for result in train(network, self._data, self.recipe, job.seed, job.checkpoint, key):
            if result.final and job.weights is not None:
                save_weights(job.weights, network)
            yield result


def set_input_statistics(network: Network, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """Set the input normalisation of a network to the statistics of its training images (in [0, 1])."""
    network.norm.mean.copy_(torch.tensor(mean).view(-1, 1, 1))
    network.norm.std.copy_(torch.tensor(std).view(-1, 1, 1))

"""The training loop of the original bsconv library, on images in memory: what users of bsconv 0.4.0 have.

The same steps as its script takes: PIL transforms image by image in a DataLoader, NCHW, SGD with one learning rate,
`.item()` of loss and accuracy at every step, validation in the same way.
"""

from collections.abc import Iterator

import bsconv.pytorch
import torch
import torchvision.transforms as transforms
from PIL import Image
from torch.nn import CrossEntropyLoss
from torch.utils.data import DataLoader, Dataset

from bsconv_nas.data import ImageData
from bsconv_nas.data.images import Images, Labels

BATCH = 128
TRAINING = transforms.Compose(
    [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
)


class PilImages(Dataset[tuple[torch.Tensor, int]]):
    """Images that go through PIL one at a time, as those of torchvision's CIFAR-10."""

    def __init__(self, images: Images, labels: Labels, transform: transforms.Compose | transforms.ToTensor) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


class SeedTraining:
    """A network and its optimizer; `epoch` trains and validates once. `workers` processes transform images."""

    def __init__(
        self, name: str, data: ImageData, seed: int, rate: float = 0.1, device: str = "cpu", workers: int = 0
    ) -> None:
        torch.manual_seed(seed)
        self.device = device
        self.model = bsconv.pytorch.get_model(name, num_classes=data.num_classes).to(device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=rate, momentum=0.9, weight_decay=1e-4)
        training = PilImages(data.train_images, data.train_labels, TRAINING)
        validation = PilImages(data.val_images, data.val_labels, transforms.ToTensor())
        self.loaders = {
            True: DataLoader(training, BATCH, shuffle=True, num_workers=workers),
            False: DataLoader(validation, BATCH, num_workers=workers),
        }

    def epochs(self, count: int) -> Iterator[float]:
        """Accuracy after each epoch; the learning rate falls to a tenth for the last one."""
        for epoch in range(count):
            if count > 1 and epoch == count - 1:
                self.optimizer.param_groups[0]["lr"] *= 0.1
            yield self.epoch()

    def epoch(self) -> float:
        """Train and validate; returns the mean accuracy of the validation batches."""
        self._pass(train=True)
        return self._pass(train=False)

    def _pass(self, train: bool) -> float:
        self.model.train(train)
        torch.set_grad_enabled(train)
        losses: list[float] = []
        accuracies: list[float] = []
        for batch in self.loaders[train]:
            images, target = (tensor.to(self.device) for tensor in batch)
            output = self.model(images)
            loss = CrossEntropyLoss()(output, target)
            if hasattr(self.model, "reg_loss"):
                loss += self.model.reg_loss(alpha=0.1)
            losses.append(loss.item())
            accuracies.append((output.detach().argmax(1) == target).sum().item() / len(target))
            if train:
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
        torch.set_grad_enabled(True)
        return sum(accuracies) / len(accuracies)

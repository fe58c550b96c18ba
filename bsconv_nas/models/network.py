"""The common frame of the reference networks."""

from torch import Tensor, nn

from bsconv_nas.models.layers import PointwiseClassifier
from bsconv_nas.nn.bsconv import RegLossMixin


class ReferenceNetwork(nn.Module, RegLossMixin):
    """A classifier of images: maps (N, in_channels, H, W) to logits (N, num_classes).

    Images in [0, 1] need no further normalisation, `backbone.data_bn` does it. Any size that survives the strides
    works; `in_size` is the (H, W) that the network is meant for. `reg_loss(alpha=0.1)` is zero for variants without
    BSConv-S.
    """

    def __init__(self, backbone: nn.Sequential, features: int, num_classes: int, in_size: tuple[int, int]) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = PointwiseClassifier(features, num_classes)
        self.in_size = in_size
        self._initialise()

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.backbone(x))

    def _initialise(self) -> None:
        """He's uniform rule for the backbone, Glorot's normal one for the classifier, whose bias stays torch's own."""
        for module in self.backbone.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.xavier_normal_(self.classifier.conv.weight)


def image_size(cifar: bool) -> tuple[int, int]:
    """(H, W) of the images that the CIFAR and the ImageNet networks are meant for."""
    return (32, 32) if cifar else (224, 224)

"""The reference networks of the BSConv paper by name.

model = get_model("cifar_resnet20_bsconvs_p1d4", num_classes=10)
"""

from bsconv_nas.errors import UsageError
from bsconv_nas.models.mobilenet import build_mobilenet
from bsconv_nas.models.names import MobileNetSpec, ResNetSpec, known_models, listed_models, parse_name
from bsconv_nas.models.network import ReferenceNetwork
from bsconv_nas.models.published import ModelCost, PublishedResult, model_costs, published_results
from bsconv_nas.models.resnet import build_resnet

__all__ = [
    "MobileNetSpec",
    "ModelCost",
    "PublishedResult",
    "ReferenceNetwork",
    "ResNetSpec",
    "get_model",
    "known_models",
    "listed_models",
    "model_costs",
    "parse_name",
    "published_results",
]


def get_model(name: str, num_classes: int | None = None, in_channels: int = 3) -> ReferenceNetwork:
    """Build a reference network with the initial weights of the original library; the grammar of names is in `names`.

    Args:
        name: for example "mobilenetv1_w3d4_bsconvu"; upper and lower case are the same.
        num_classes: number of logits; by default 10 for CIFAR networks and 1000 for the others.
        in_channels: channels of the images.

    Raises:
        UsageError: (a ValueError) an unknown name, with the nearest valid one; or numbers below 1.
    """
    spec = parse_name(name)
    classes = num_classes if num_classes is not None else 10 if spec.cifar else 1000
    for what, value in (("num_classes", classes), ("in_channels", in_channels)):
        if value < 1:
            raise UsageError(f"{what} is {value}; allowed: at least 1")
    if isinstance(spec, ResNetSpec):
        return build_resnet(spec, classes, in_channels)
    return build_mobilenet(spec.version, spec.width, spec.cifar, spec.bsconv, classes, in_channels)

"""Published accuracies to compare a search with."""

from typing import Any

from bsconv_nas.models.published import published_results

_CIFAR10 = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}
_FAMILIES = {
    "MobileNetV1": ("cifar_mobilenetv1_", ""),
    "MobileNetV1 + BSConv-U": ("cifar_mobilenetv1_", "_bsconvu"),
    "WRN-16": ("cifar_wrn16_", ""),
    "WRN-16 + BSConv-U": ("cifar_wrn16_", "_bsconvu"),
    "ResNet": ("cifar_resnet", ""),
    "ResNet + BSConv-U": ("cifar_resnet", "_bsconvu"),
    "ResNet + BSConv-S, p = 1/4": ("cifar_resnet", "_bsconvs_p1d4"),
}


def published_curves(classes: list[str], image_size: list[int] | None) -> list[dict[str, Any]]:
    """Curves of published test accuracies for the same classes at the same size; none for other data."""
    dataset = _dataset(classes) if image_size == [32, 32] else None
    curves = [{"family": family, "points": _points(dataset, *ends)} for family, ends in _FAMILIES.items()]
    return [curve for curve in curves if len(curve["points"]) > 1]


def _dataset(classes: list[str]) -> str | None:
    if set(classes) == _CIFAR10:
        return "cifar10"
    return "cifar100" if len(classes) == 100 and {"aquarium_fish", "apple", "wardrobe"} <= set(classes) else None


def _points(dataset: str | None, prefix: str, suffix: str) -> list[dict[str, Any]]:
    rows = [
        {"name": row.model, "macs": row.macs, "test_top1": row.top1}
        for row in published_results()
        if row.dataset == dataset and row.model.startswith(prefix) and _ends(row.model, suffix)
    ]
    return sorted(rows, key=lambda row: row["macs"])


def _ends(model: str, suffix: str) -> bool:
    return model.endswith(suffix) if suffix else "_bsconv" not in model

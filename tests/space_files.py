"""Files of search spaces for tests: small ones, and the image sizes that the packaged ones are made for."""

from typing import Any

from bsconv_nas.base.toml_files import check_toml
from bsconv_nas.spaces.files import SpaceFile

PACKAGED_SIZES = {"quick": (8, 8), "cifar": (32, 32), "mobile": (224, 224)}


def space_file(**changes: Any) -> SpaceFile:
    data: dict[str, Any] = {
        "schema_version": 1,
        "name": "small",
        "title": "Small",
        "image_size": [1, 64],
        "stem": {"out_channels": [8]},
        "layers": {"conv": ["U"], "kernel_size": [3]},
        "stages": [{"stride": 1, "depth": [1], "width": [8]}],
    }
    return check_toml({**data, **changes}, SpaceFile, "small")


def stage(stride: int, depth: list[int], width: list[int], **more: Any) -> dict[str, Any]:
    return {"stride": stride, "depth": depth, "width": width, **more}

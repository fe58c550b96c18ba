"""How the file of each format is loaded to be checked: the function `load` of a row of `FORMATS`.

A loader takes the path of the file and returns a function from images, float32 (N, C, H, W) in [0, 1], to logits
(N, classes). Its source is copied into the `verify.py` of an exported folder, which runs without this package: so it is
defined at the top level of its module and imports inside it what it uses. No two loaders have the same name.
"""

from pathlib import Path

from bsconv_nas.export.verify_program import Form


def load_program(path: Path) -> Form:
    import torch

    return torch.export.load(path).module()


def load_onnx(path: Path) -> Form:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def load_executorch(path: Path) -> Form:
    import torch
    from executorch.runtime import Runtime  # pyright: ignore[reportMissingImports]

    method = Runtime.get().load_program(path).load_method("forward")
    # The program is for one image at a time.
    return lambda images: torch.cat([method.execute([image.contiguous()])[0] for image in images.split(1)])

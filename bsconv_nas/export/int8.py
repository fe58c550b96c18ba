"""Post-training quantisation of an ONNX file to 8 bits, calibrated on images."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

_BATCH = 32


def quantise(floating: Path, to: Path, images: Tensor) -> None:
    """Write `floating` with 8-bit weights (a scale per channel) and activations (ranges as seen on `images`).

    Args:
        floating: an ONNX file with the input "images".
        to: the file to write.
        images: float32 (N, C, H, W) in [0, 1].
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._batches: Iterator[Tensor] = iter(images.split(_BATCH))

        def get_next(self) -> dict[str, Any] | None:  # type: ignore[override]
            batch = next(self._batches, None)
            return None if batch is None else {"images": batch.numpy()}

    prepared = floating.with_name("prepared.onnx")
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # onnxruntime advises to preprocess, which is done here
    try:
        quant_pre_process(str(floating), str(prepared), skip_symbolic_shape=True)
        quantize_static(str(prepared), str(to), Reader(), quant_format=QuantFormat.QDQ, per_channel=True)
    finally:
        logging.disable(before)
        prepared.unlink(missing_ok=True)

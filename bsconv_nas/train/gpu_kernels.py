# pyright: basic, reportAttributeAccessIssue=false, reportArgumentType=false, reportOperatorIssue=false
# pyright: reportIndexIssue=false, reportPrivateImportUsage=false, reportGeneralTypeIssues=false
# ruff: noqa: N803 (constants of a compilation are in capitals)
"""Kernels of depthwise convolutions for images (N, H, W, C), in Triton; `gpu_depthwise.py` starts them.

Sizes of images are no constants of the compilation, so that a handful of compiled kernels serves all networks.
"""

import triton
import triton.language as tl

_SIZES = ["pixels", "height", "width", "rows", "columns", "padding"]


@triton.jit(do_not_specialize=_SIZES)
def convolve(
    source,  # (N, height, width, channels)
    taps,  # (K * K, channels)
    target,  # (N, rows, columns, channels)
    pixels,  # N * rows * columns
    channels,
    height,
    width,
    rows,
    columns,
    padding,
    K: tl.constexpr,  # kernel size
    STRIDE: tl.constexpr,
    TRANSPOSED: tl.constexpr,  # whether target is the larger side: the gradient of the images
    PIXELS: tl.constexpr,  # target pixels that one program computes
    CHANNELS: tl.constexpr,
):
    """Depthwise convolution, or its transpose, added up in float32."""
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    exists = channel < channels
    image = pixel // (rows * columns)
    row = pixel // columns % rows
    column = pixel % columns
    total = tl.zeros((PIXELS, CHANNELS), tl.float32)
    for dy in range(K):
        for dx in tl.static_range(K):
            if TRANSPOSED:
                down = row + padding - dy
                across = column + padding - dx
                y = down // STRIDE
                x = across // STRIDE
                inside = (down >= 0) & (across >= 0) & (down % STRIDE == 0) & (across % STRIDE == 0)
                inside = inside & (y < height) & (x < width) & (pixel < pixels)
            else:
                y = row * STRIDE + dy - padding
                x = column * STRIDE + dx - padding
                inside = (y >= 0) & (y < height) & (x >= 0) & (x < width) & (pixel < pixels)
            place = ((image * height + y) * width + x).to(tl.int64) * channels
            mask = inside[:, None] & exists[None, :]
            values = tl.load(source + place[:, None] + channel[None, :], mask=mask, other=0.0)
            tap = tl.load(taps + (dy * K + dx) * channels + channel, mask=exists, other=0.0)
            total += values.to(tl.float32) * tap.to(tl.float32)[None, :]
    place = pixel.to(tl.int64) * channels
    mask = (pixel < pixels)[:, None] & exists[None, :]
    tl.store(target + place[:, None] + channel[None, :], total.to(target.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=_SIZES)
def correlate(
    images,  # (N, height, width, channels)
    gradient,  # (N, rows, columns, channels)
    parts,  # float32 (chunks, K * K, channels)
    pixels,  # N * rows * columns
    channels,
    height,
    width,
    rows,
    columns,
    padding,
    K: tl.constexpr,
    STRIDE: tl.constexpr,
    CHUNK: tl.constexpr,  # pixels that a program adds up
    PIXELS: tl.constexpr,  # at a time
    CHANNELS: tl.constexpr,
):
    """Gradient of one tap of the weights, over one chunk of pixels."""
    # Programs of the same pixels run beside each other, so that these are read from memory once.
    chunk = tl.program_id(0) // (K * K)
    tap = tl.program_id(0) % (K * K)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    exists = channel < channels
    total = tl.zeros((CHANNELS,), tl.float32)
    for start in range(0, CHUNK, PIXELS):
        pixel = chunk * CHUNK + start + tl.arange(0, PIXELS)
        image = pixel // (rows * columns)
        y = pixel // columns % rows * STRIDE + tap // K - padding
        x = pixel % columns * STRIDE + tap % K - padding
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width) & (pixel < pixels)
        mask = inside[:, None] & exists[None, :]
        place = ((image * height + y) * width + x).to(tl.int64) * channels
        values = tl.load(images + place[:, None] + channel[None, :], mask=mask, other=0.0)
        gradients = tl.load(gradient + pixel.to(tl.int64)[:, None] * channels + channel[None, :], mask=mask, other=0.0)
        total += tl.sum(values.to(tl.float32) * gradients.to(tl.float32), 0)
    place = (chunk * K * K + tap).to(tl.int64) * channels
    tl.store(parts + place + channel, total, mask=exists)

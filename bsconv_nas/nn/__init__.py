"""Torch modules: the blueprint separable convolutions and what networks are made of."""

from bsconv_nas.nn.bsconv import BSConvS, BSConvU, orthonormal_loss

__all__ = ["BSConvS", "BSConvU", "orthonormal_loss"]

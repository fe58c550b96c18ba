"""Torch modules: the blueprint separable convolutions, what networks are made of, and replacers for any model."""

from bsconv_nas.nn.bsconv import BSConvS, BSConvU, RegLossMixin, orthonormal_loss
from bsconv_nas.nn.convert import (
    BSConvSReplacer,
    BSConvUReplacer,
    Conv2dToBSConvSTransformer,
    Conv2dToBSConvUTransformer,
    RegLossTransformer,
)
from bsconv_nas.nn.replacers import (
    Conv2dFilter,
    ModelFilter,
    ModuleFilter,
    ModuleReplacementRule,
    ModuleReplacer,
    ModuleTransformer,
    Replacement,
)

__all__ = [
    "BSConvS",
    "BSConvSReplacer",
    "BSConvU",
    "BSConvUReplacer",
    "Conv2dFilter",
    "Conv2dToBSConvSTransformer",
    "Conv2dToBSConvUTransformer",
    "ModelFilter",
    "ModuleFilter",
    "ModuleReplacementRule",
    "ModuleReplacer",
    "ModuleTransformer",
    "RegLossMixin",
    "RegLossTransformer",
    "Replacement",
    "orthonormal_loss",
]

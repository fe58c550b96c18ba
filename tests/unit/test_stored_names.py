"""Hashes that studies store, letter by letter: of spaces, whose change refuses a study, and of networks.

As for `test_recipe_identity.py`: a test that fails here is not mended by another text, for users have the old one.
"""

import pytest

from bsconv_nas.errors import SpaceError
from bsconv_nas.spaces.genes import GeneSpace
from bsconv_nas.spaces.networks import ArchSpace
from tests.space_files import space_file, stage

GENES = {"width": [8, 16], "kind": ["U", "S"], "se": [False, True], "p": [0.25, 1.0]}


def _space() -> GeneSpace:
    return GeneSpace(GENES, lambda g: {"macs": 1.0})


def test_spaces_of_ones_own() -> None:
    assert _space().fingerprint == "e62377815358f3f2"
    assert _space().identity((16, "S", True, 0.25)) == "397e77ede2c8"
    assert _space().identity((8, "U", False, 1.0)) == "3e8f195164e2"


def test_spaces_of_networks() -> None:
    layers = {"conv": ["U", "S-1/4"], "kernel_size": [3]}
    space = ArchSpace(space_file(layers=layers, stages=[stage(1, [0, 1], [8])]), (32, 32), 10)
    assert space.fingerprint == "7cd60c2d36c26202"
    assert [space.identity(g) for g in space.enumerate()] == ["382c923ca823", "38293ea22b04", "fc56b16e3a11"]


def test_genotypes_of_another_length_are_refused_and_never_cut() -> None:
    with pytest.raises(SpaceError, match="a genotype of space 'custom' has 4 genes, got 3"):
        _space().check((16, "S", True))
    with pytest.raises(ValueError, match="zip"):
        _space().to_params((16, "S", True))

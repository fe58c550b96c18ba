"""Networks to begin a search with."""

from dataclasses import replace

from bsconv_nas.arch_space import ArchSpace
from bsconv_nas.errors import UsageError
from bsconv_nas.references import REFERENCES
from bsconv_nas.space import GeneSpace, Genotype


def reference_genotypes(space: GeneSpace) -> list[Genotype]:
    """The hand-made reference networks that are points of the space, in the order of `REFERENCES`; none in others."""
    found: list[Genotype] = []
    if isinstance(space, ArchSpace):
        for make in REFERENCES.values():
            try:
                arch = replace(make(space.image_size, space.num_classes), in_channels=space.in_channels)
                genotype = space.encode(arch)
            except UsageError:  # not a point of the space, or no network at this image size
                continue
            if genotype not in found:
                found.append(genotype)
    return found

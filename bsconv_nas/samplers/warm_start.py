"""Networks to begin a search with."""

from bsconv_nas.arch_space import ArchSpace
from bsconv_nas.references import references_in
from bsconv_nas.space import GeneSpace, Genotype


def reference_genotypes(space: GeneSpace) -> list[Genotype]:
    """The hand-made reference networks that are points of the space, each once, in the order of `REFERENCES`.

    A space that is not one of networks has none.
    """
    return list(dict.fromkeys(references_in(space).values())) if isinstance(space, ArchSpace) else []

"""Search spaces: named genes, and the networks that they describe, with an exact cost."""

"""Seeds of trials."""

import hashlib


def trial_seed(study_seed: int, number: int) -> int:
    """Seed of a trial, 0 to 2**31 - 1: a function of the study's seed and the trial's number alone."""
    digest = hashlib.sha256(f"{study_seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 2**31

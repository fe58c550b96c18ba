"""Choosing a trial of a study, for the verbs that need one network."""

from bsconv_nas.errors import StudyError
from bsconv_nas.study import Study, TrialRecord


def chosen_trial(study: Study, number: int | None) -> TrialRecord:
    """The trial with that number; the most accurate one within the limits for None.

    Raises:
        StudyError: no such trial, or none is complete.
    """
    if number is None:
        best = study.best()
        if best is None:
            raise StudyError(f"study {study.name!r} has no complete trial yet; run its search again")
        return best
    for record in study.all_records:
        if record.number == number:
            return record
    count = len(study.all_records)
    raise StudyError(f"study {study.name!r} has no trial {number}; it has trials 0 to {count - 1}")

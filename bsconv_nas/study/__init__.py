"""A study: configuration, storage, records of trials."""

from bsconv_nas.study.records import TrialRecord, TrialState
from bsconv_nas.study.study import Study, front_of

__all__ = ["Study", "TrialRecord", "TrialState", "front_of"]

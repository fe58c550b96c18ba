"""A study: configuration, storage, records of trials."""

from bsconv_nas.study.fronts import Front, front_of
from bsconv_nas.study.records import TrialRecord, TrialState
from bsconv_nas.study.study import Study

__all__ = ["Front", "Study", "TrialRecord", "TrialState", "front_of"]

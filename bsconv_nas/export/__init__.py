"""Exports: files that rebuild and run a network without this package, and prove that they do."""

from bsconv_nas.export.folder import Exported, export_network
from bsconv_nas.export.source import Source, training_source, trial_source
from bsconv_nas.export.verify import verify

__all__ = ["Exported", "Source", "export_network", "training_source", "trial_source", "verify"]

"""Exports: files that rebuild and run a network without this package."""

from bsconv_nas.export.folder import export_trial

__all__ = ["export_trial"]

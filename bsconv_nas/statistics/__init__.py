"""Formulas that several rooms share: intervals, log errors, forecasts of learning curves."""

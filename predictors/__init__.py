"""Predictions where a table is silent, each with an interval and a flag that says so."""

from predictors.profile_pricer import ProfilePricer
from predictors.table_predictor import Estimate, TablePredictor
from predictors.value import Value

__all__ = ["Estimate", "ProfilePricer", "TablePredictor", "Value"]

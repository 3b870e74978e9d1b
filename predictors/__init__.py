"""Predictions where a table is silent, each with an interval and a flag that says so."""

from predictors.latency import Estimate, LatencyPredictor

__all__ = ["Estimate", "LatencyPredictor"]

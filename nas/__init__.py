"""Search, Pareto sets and export of networks priced by every cost indicator.

Names are loaded when they are first used, so that the command line answers at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.candidates import Candidate
    from nas.cost_aware_sampler import CostAwareSampler
    from nas.distinct_sampler import DistinctSampler
    from nas.early_stopping import EarlyStopping
    from nas.experiment import Experiment
    from nas.export import Verification, export_members, verify_export
    from nas.function_problem import FunctionProblem
    from nas.indicators import INDICATORS, Indicator
    from nas.pareto import ParetoSet, pareto_set
    from nas.pricer import Pricer
    from nas.problem import Problem
    from nas.problem_sampler import ExhaustedError
    from nas.quality import Quality
    from nas.redundancy import RedundantGroup, redundant_groups
    from nas.run_folder import RunFolder
    from nas.search import Outcome, run_experiment
    from nas.space_problem import SpaceProblem
    from nas.splits import Dataset
    from nas.study_front import front_trials
    from nas.table_problem import TableProblem
    from predictors import Value

__all__ = [
    "INDICATORS",
    "Candidate",
    "CostAwareSampler",
    "Dataset",
    "DistinctSampler",
    "EarlyStopping",
    "ExhaustedError",
    "Experiment",
    "FunctionProblem",
    "Indicator",
    "Outcome",
    "ParetoSet",
    "Pricer",
    "Problem",
    "Quality",
    "RedundantGroup",
    "RunFolder",
    "SpaceProblem",
    "TableProblem",
    "Value",
    "Verification",
    "export_members",
    "front_trials",
    "pareto_set",
    "redundant_groups",
    "run_experiment",
    "verify_export",
]

_MODULES = {
    "INDICATORS": "indicators",
    "Candidate": "candidates",
    "CostAwareSampler": "cost_aware_sampler",
    "Dataset": "splits",
    "DistinctSampler": "distinct_sampler",
    "EarlyStopping": "early_stopping",
    "ExhaustedError": "problem_sampler",
    "Experiment": "experiment",
    "FunctionProblem": "function_problem",
    "Indicator": "indicators",
    "Outcome": "search",
    "ParetoSet": "pareto",
    "Pricer": "pricer",
    "Problem": "problem",
    "Quality": "quality",
    "RedundantGroup": "redundancy",
    "RunFolder": "run_folder",
    "SpaceProblem": "space_problem",
    "TableProblem": "table_problem",
    "Value": "predictors.value",
    "Verification": "export",
    "export_members": "export",
    "front_trials": "study_front",
    "pareto_set": "pareto",
    "redundant_groups": "redundancy",
    "run_experiment": "search",
    "verify_export": "export",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _MODULES[name]
    return getattr(import_module(module if "." in module else f"nas.{module}"), name)

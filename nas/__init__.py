"""Search, Pareto sets and export of networks priced by every cost indicator.

Names are loaded when they are first used, so that the command line answers at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.candidates import Candidate
    from nas.experiment import Experiment
    from nas.export import Verification, export_members, verify_export
    from nas.indicators import INDICATORS, Indicator
    from nas.pareto import ParetoSet, pareto_set
    from nas.pricer import Pricer
    from nas.quality import Quality
    from nas.run_folder import RunFolder
    from nas.search import Outcome, run_experiment
    from nas.splits import Dataset
    from predictors import Value

__all__ = [
    "INDICATORS",
    "Candidate",
    "Dataset",
    "Experiment",
    "Indicator",
    "Outcome",
    "ParetoSet",
    "Pricer",
    "Quality",
    "RunFolder",
    "Value",
    "Verification",
    "export_members",
    "pareto_set",
    "run_experiment",
    "verify_export",
]

_MODULES = {
    "INDICATORS": "indicators",
    "Candidate": "candidates",
    "Dataset": "splits",
    "Experiment": "experiment",
    "Indicator": "indicators",
    "Outcome": "search",
    "ParetoSet": "pareto",
    "Pricer": "pricer",
    "Quality": "quality",
    "RunFolder": "run_folder",
    "Value": "predictors.value",
    "Verification": "export",
    "export_members": "export",
    "pareto_set": "pareto",
    "run_experiment": "search",
    "verify_export": "export",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _MODULES[name]
    return getattr(import_module(module if "." in module else f"nas.{module}"), name)

"""Names of the samplers, apart from the samplers so that checking a name loads no Optuna."""

__all__ = ["COST_AWARE", "SAMPLER_NAMES"]

COST_AWARE = "cost-aware"
SAMPLER_NAMES = (COST_AWARE, "nsga2", "nsga3", "tpe", "random")

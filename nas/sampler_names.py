"""Names of the samplers, apart from the samplers so that checking a name loads no Optuna."""

SAMPLER_NAMES = ("nsga2", "nsga3", "tpe", "random")

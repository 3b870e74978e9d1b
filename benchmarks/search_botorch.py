"""BoTorch's noisy expected hypervolume improvement: a Gaussian process for every objective.

The stock way to search with a surrogate (Daulton, Balandat & Bakshy, NeurIPS 2021, by its logarithm
as in Ament et al., NeurIPS 2023): costs are learned as the quality is. The inputs are the problem's
features, log costs among them, so that it learns the costs from little; that flatters it. It
chooses among some random candidates and neighbours of the front. How long it takes grows fast with
the number of objectives.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from benchmarks.search_rivals import (
    BATCH,
    INITIAL,
    Archive,
    Floats,
    Ints,
    mutants,
    random_batch,
    sizes,
)
from nas.errors import ExperimentError
from nas.problem import Problem
from nas.unseen import Unseen

__all__ = ["MOST_OBJECTIVES", "NoisyImprovement"]

MOST_OBJECTIVES = 4
RANDOM, NEIGHBOURS = 700, 300
"""Candidates that it chooses among."""
SAMPLES = 32
"""Of the posterior; BoTorch's tutorials take 128, which is four times slower."""


class NoisyImprovement:
    """qLogNEHVI over discrete candidates, with the reference point that BoTorch infers.

    Args:
        problem: The problem.
        seed: Of all that is random.

    Raises:
        ExperimentError: There are more than :data:`MOST_OBJECTIVES` objectives.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        import botorch  # noqa: F401  Says at once if it is missing.
        import torch

        objectives = 1 + len(problem.costs)
        if objectives > MOST_OBJECTIVES:
            raise ExperimentError(
                f"`qnehvi` is for up to {MOST_OBJECTIVES} objectives; got {objectives}. Its boxes "
                "take too long above; choose another sampler."
            )
        self.rng, self.seed = np.random.default_rng(seed), seed
        self.problem = problem
        self.unseen, self.archive = Unseen(problem, self.rng), Archive(problem)
        self.sizes = sizes(problem)
        self.torch: Any = torch
        sample = problem.features(problem.random_codes(RANDOM, self.rng)[:RANDOM])
        self.low, self.span = sample.min(axis=0), np.ptp(sample, axis=0)

    def ask(self) -> Ints:
        """A batch; random candidates to begin with."""
        choices = None if len(self.archive.codes) < INITIAL else self._candidates()
        if choices is not None and len(choices) > BATCH:
            batch = choices[self._chosen(choices)]
            self.unseen.leave_out(batch)
            return batch
        return random_batch(self.unseen)

    def tell(self, codes: Ints, quality: Floats, error: float = 0.0) -> None:
        """Remembers the objectives."""
        self.archive.add(codes, quality)

    def _candidates(self) -> Ints:
        drawn = self.problem.random_codes(RANDOM, self.rng)[:RANDOM]
        parents = self.archive.codes[self.archive.front]
        near = mutants(parents, NEIGHBOURS, self.sizes, self.rng)
        codes = np.concatenate([drawn, near])
        codes = codes[self.unseen.are_new(codes)]
        first: dict[bytes, int] = {}
        for row, key in enumerate(self.problem.keys(codes)):
            first.setdefault(key, row)
        return codes[list(first.values())]

    def _chosen(self, choices: Ints) -> Ints:
        """Positions of the batch among the candidates."""
        from botorch.acquisition.multi_objective.logei import (
            qLogNoisyExpectedHypervolumeImprovement,
        )
        from botorch.optim import optimize_acqf_discrete
        from botorch.sampling.normal import SobolQMCNormalSampler
        from botorch.utils.multi_objective.hypervolume import infer_reference_point

        torch, seed = self.torch, self.seed + len(self.archive.codes)
        with torch.random.fork_rng(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)
            inputs = self._inputs(self.archive.codes)
            values = torch.tensor(-self.archive.values)  # BoTorch maximises.
            model = _fitted(inputs, values)
            acquisition = qLogNoisyExpectedHypervolumeImprovement(
                model,
                infer_reference_point(values[self.archive.front]),
                inputs,
                SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=seed),
                prune_baseline=True,
            )
            table = self._inputs(choices)
            chosen, _ = optimize_acqf_discrete(acquisition, BATCH, table, max_batch_size=512)
        taken: list[int] = []
        for row in chosen:
            # Candidates may have equal features.
            same = (table == row).all(dim=1).nonzero().flatten().tolist()
            taken.append(next(place for place in same if place not in taken))
        return np.array(taken)

    def _inputs(self, codes: Ints) -> Any:
        varies = self.span > 0
        features = self.problem.features(codes)[:, varies]
        return self.torch.tensor((features - self.low[varies]) / self.span[varies])


def _fitted(inputs: Any, values: Any) -> Any:
    """BoTorch's default process for each column, by the mode of its posterior."""
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import ModelListGP, SingleTaskGP
    from gpytorch.mlls import SumMarginalLogLikelihood

    model = ModelListGP(*(SingleTaskGP(inputs, column[:, None]) for column in values.T))
    fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
    return model

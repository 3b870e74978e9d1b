"""What a set of budgets leaves of a space, before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.candidates import excess, violations
from nas.errors import NothingFeasibleError
from nas.indicators import indicator
from nas.pricer import Pricer
from search_spaces import SearchSpace

__all__ = ["POOL", "Pool", "feasible_neighbours", "feasible_pool", "improved"]

POOL = 20_000
GENERATIONS, SURVIVORS, CHILDREN = 30, 200, 1_000
NEAREST = 3


@dataclass(frozen=True, slots=True)
class Pool:
    """Priced architectures of a space.

    Attributes:
        codes: Those that meet every budget: ``[n, parameters]``.
        share: Share of random architectures that do.
    """

    codes: NDArray[np.int64]
    share: float


def feasible_pool(
    space: SearchSpace, pricer: Pricer, budgets: Mapping[str, float], seed: int
) -> Pool:
    """Random architectures that meet every budget.

    Where no random one does, the nearest are improved by mutation, which costs no training.

    Raises:
        NothingFeasibleError: None was found; the message gives the nearest and what they miss.
    """
    rng = np.random.default_rng(seed)
    codes = space.random_codes(POOL, rng)
    missed = _excess(space, pricer, budgets, codes)
    meets = (missed <= 0).all(axis=1)
    if meets.any():
        return Pool(codes[meets], float(meets.mean()))
    codes = improved(
        space,
        codes,
        lambda codes: np.maximum(_excess(space, pricer, budgets, codes), 0).sum(axis=1),
        rng,
    )
    missed = _excess(space, pricer, budgets, codes)
    meets = (missed <= 0).all(axis=1)
    if meets.any():
        return Pool(codes[meets], 0.0)
    raise _nothing_feasible(space, pricer, budgets, codes, missed)


def improved(
    space: SearchSpace,
    codes: NDArray[np.int64],
    badness: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    rng: np.random.Generator,
    enough: float = 0.0,
) -> NDArray[np.int64]:
    """Architectures that mutation makes of the best of some, which costs no training.

    Args:
        space: Where they come from.
        codes: Those to begin with: ``[n, parameters]``.
        badness: What of each is to become small: ``[n]`` of codes ``[n, parameters]``.
        rng: Of the mutations.
        enough: Badness at which it stops.
    """
    bad = badness(codes)
    for _ in range(GENERATIONS):
        order = np.argsort(bad, kind="stable")[:SURVIVORS]
        codes, bad = codes[order], bad[order]
        if bad[0] <= enough:
            break
        codes = np.unique(np.concatenate([codes, _mutants(space, codes, rng)]), axis=0)
        bad = badness(codes)
    return codes


def feasible_neighbours(
    space: SearchSpace,
    pricer: Pricer,
    budgets: Mapping[str, float],
    codes: NDArray[np.int64],
    seed: int,
) -> NDArray[np.int64]:
    """Mutations of feasible architectures, and of those again, that meet every budget."""
    rng = np.random.default_rng(seed)
    for _ in range(GENERATIONS // 3):
        children = _mutants(space, codes, rng)
        meets = (_excess(space, pricer, budgets, children) <= 0).all(axis=1)
        codes = np.unique(np.concatenate([codes, children[meets]]), axis=0)
    return codes


def _mutants(
    space: SearchSpace, codes: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    sizes = np.array([len(choices) for choices in space.parameters.values()])
    children = codes[rng.integers(len(codes), size=CHILDREN)].copy()
    change = rng.random(children.shape) < 2 / len(sizes)
    drawn = rng.integers(0, sizes, size=children.shape)
    children[change] = drawn[change]
    return children


def _excess(
    space: SearchSpace, pricer: Pricer, budgets: Mapping[str, float], codes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """By how much each budget is exceeded, relative to it: ``[n, budgets]``."""
    values = pricer.price_codes(space, codes, budgets)
    columns = [excess(name, values[name], limit) for name, limit in budgets.items()]
    return np.stack(columns, axis=1) if columns else np.zeros((len(codes), 0))


def _nothing_feasible(
    space: SearchSpace,
    pricer: Pricer,
    budgets: Mapping[str, float],
    codes: NDArray[np.int64],
    missed: NDArray[np.float64],
) -> NothingFeasibleError:
    lines, seen = [], set()
    for row in np.argsort(np.maximum(missed, 0).sum(axis=1)):
        architecture = space.decode(codes[row])
        if architecture.id in seen:
            continue
        seen.add(architecture.id)
        values = {k: v.value for k, v in pricer.price(architecture, budgets).items()}
        said = ", ".join(
            f"{name} {values[name]:.4g} (budget {budgets[name]:.4g}, missed by "
            f"{values[name] / budgets[name] - 1:+.1%})"
            for name in violations(values, budgets)
        )
        choices = ", ".join(f"{k}={v}" for k, v in architecture.config.items())
        lines.append(f"  {architecture.id} {architecture.space}: {said}; {choices}")
        if len(lines) == NEAREST:
            break
    limits = ", ".join(
        f"{k} {'>=' if indicator(k).maximize else '<='} {v:.4g} {indicator(k).unit}"
        for k, v in budgets.items()
    )
    return NothingFeasibleError(
        f"Nothing in space {space.name} ({space.size:,} architectures) was found to meet the "
        f"budgets {limits}. Nearest:",
        lines,
    )

"""Pricing: every indicator of an architecture, before anything is built."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import ExperimentError
from nas.indicators import split_name
from predictors import ProfilePricer, Value
from search_spaces import (
    Architecture,
    Counts,
    CountTable,
    SearchSpace,
    TrainingSetup,
    count,
    count_codes,
)

__all__ = ["Pricer", "paper_gflops"]

COUNTED = tuple(field.name for field in fields(Counts))


class Pricer:
    """Prices architectures with every indicator, without building them.

    Args:
        counts: Counts of blocks.
        training: Batch and optimiser of the training indicators.
        devices: What prices by hardware, by what follows the ``@`` of a name.
    """

    def __init__(
        self, counts: CountTable, training: TrainingSetup, devices: Mapping[str, ProfilePricer]
    ) -> None:
        self.counts, self.training, self.devices = counts, training, dict(devices)

    @property
    def names(self) -> tuple[str, ...]:
        """Every indicator that it prices."""
        return COUNTED + tuple(
            f"{name}@{place}" for place, device in self.devices.items() for name in device.names
        )

    def require(self, names: Collection[str]) -> None:
        """Refuses names of indicators that a profile cannot give.

        Raises:
            ExperimentError: One of them is such; the message says why.
        """
        for name in names:
            base, place = split_name(name)
            reason = self.devices[place].reason(base) if place else ""
            if reason:
                raise ExperimentError(f"`{name}` is not available: {reason}.")

    def price(
        self, architecture: Architecture, names: Collection[str] | None = None
    ) -> dict[str, Value]:
        """Indicators of one architecture, by name.

        Args:
            architecture: What to price.
            names: Which of :attr:`names`; all of them when absent.
        """
        values: dict[str, Value] = {}
        if names is None or not all("@" in name for name in names):
            exact = asdict(count(architecture, self.counts, self.training))
            wanted = exact if names is None else [name for name in exact if name in names]
            values = {n: Value(exact[n], exact[n], exact[n], "exact") for n in wanted}
        for place, device in self.devices.items():
            found = device.price(architecture, _at(place, names))
            values |= {f"{name}@{place}": value for name, value in found.items()}
        return values

    def price_codes(
        self, space: SearchSpace, codes: NDArray[Any], names: Collection[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """The same of many architectures: arrays ``[n]`` from codes ``[n, parameters]``."""
        codes = np.asarray(codes)
        values: dict[str, NDArray[Any]] = {}
        if names is None or not all("@" in name for name in names):
            exact = count_codes(space, codes, self.counts, self.training)
            values |= {n: column for n, column in exact.items() if names is None or n in names}
        for place, device in self.devices.items():
            found = device.price_codes(space, codes, _at(place, names))
            values |= {f"{name}@{place}": column for name, column in found.items()}
        return values

    def feasibility(
        self, architecture: Architecture, budgets: Mapping[str, float]
    ) -> dict[str, float | None]:
        """Probability that an architecture, once measured, keeps to each budget of a device.

        ``None`` where no certificate tells it; what is exact is known: 0 or 1.
        """
        values = self.price(architecture, [name for name in budgets if "@" not in name])
        result: dict[str, float | None] = {}
        for name, limit in budgets.items():
            base, place = split_name(name)
            if place:
                result[name] = self.devices[place].probability(base, architecture, limit)
            else:
                result[name] = float(values[name].value <= limit)
        return result


def _at(place: str, names: Collection[str] | None) -> list[str] | None:
    """Of the names those of a place, without it."""
    if names is None:
        return None
    pairs = map(split_name, names)
    return [base for base, at in pairs if at == place]


def paper_gflops(values: Mapping[str, Value]) -> float:
    """What the tables of The Efficiency Misnomer (Dehghani et al. 2022) print as "GFLOPs".

    Half the operations that XLA's cost analysis counts, in 1e9: about the MACs.
    """
    return values["flops"].value / 2e9

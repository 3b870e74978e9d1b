"""What a hardware profile says of networks: every indicator that a device decides.

Of one architecture with its interval, or of many as arrays. What a table holds is a sum over its
blocks (:class:`predictors.TablePredictor`); the rest follows from that:

- a quantile of the runs is the latency times what the networks of the certificate show;
- throughput is the examples of a run over its seconds, at the best measured batch that fits;
- carbon is the joules of a query times the data centre's overhead (PUE) and the grid's intensity,
  money its seconds times the price of a chip;
- memory and the largest batch that fits follow from exact counts (:mod:`predictors.device_memory`).

What the profile does not hold is not available, and :meth:`ProfilePricer.reason` says why.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hw_profiles import BlockTable, Certificate, Setting
from hw_profiles.profile import HardwareProfile
from predictors import device_memory
from predictors.device_tables import DeviceTables
from predictors.table_predictor import Estimate, TablePredictor
from predictors.value import Value
from search_spaces import Architecture, Block, CountTable, SearchSpace, UnionSpace

__all__ = ["CONSTANTS_OF", "COUNTED", "DEVICE_INDICATORS", "QUANTITY_OF", "ProfilePricer"]

QUANTITY_OF: Mapping[str, str] = {
    "latency_s": "latency_s",
    "latency_p50_s": "latency_s",
    "latency_p90_s": "latency_s",
    "latency_p99_s": "latency_s",
    "throughput_per_s": "latency_s",
    "decode_step_s": "decode_step_s",
    "train_step_s": "train_step_s",
    "energy_j": "energy_j",
    "train_energy_j": "train_energy_j",
    "carbon_g": "energy_j",
    "cost_usd": "latency_s",
    "train_cost_usd": "train_step_s",
}
"""The table that each indicator of a device follows from."""

COUNTED = ("device_peak_memory_bytes", "max_batch")
DEVICE_INDICATORS = (*QUANTITY_OF, *COUNTED)
"""Every indicator that a profile may give."""

CONSTANTS_OF: Mapping[str, tuple[str, ...]] = {
    "carbon_g": ("pue", "carbon_intensity"),
    "cost_usd": ("chip_price",),
    "train_cost_usd": ("chip_price",),
}
"""What else of the profile they take."""

QUANTILES = ("latency_p50_s", "latency_p90_s", "latency_p99_s")
"""In the order of :attr:`hw_profiles.Measured.tail`."""

JOULES_PER_KWH, SECONDS_PER_HOUR = 3.6e6, 3600.0


class _Factor(NamedTuple):
    """What a table's value is multiplied by, and the range in which that is for 95 %."""

    value: float
    low: float
    high: float


class ProfilePricer:
    """Prices architectures on a device.

    Args:
        profile: The device.
        setting: How networks are run on it; a name of its settings, empty for the first.
        counts: Counts of blocks.
        families: Blocks of each family that will be priced
            (:func:`predictors.device_tables.families_of`).
        tables: What to choose from; all tables of the profile when absent.

    Raises:
        UnknownNameError: The profile has no table of that setting.
    """

    def __init__(
        self,
        profile: HardwareProfile,
        setting: str,
        counts: CountTable,
        families: Mapping[str, Sequence[Block]],
        tables: Iterable[BlockTable] | None = None,
    ) -> None:
        self.profile, self.counts = profile, counts
        self._tables = DeviceTables(profile, setting, counts, families, tables)
        self._factors: dict[tuple[str, str], _Factor] = {}

    @property
    def setting(self) -> Setting:
        """How networks are run."""
        return self._tables.setting

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The indicators that it gives."""
        return tuple(name for name in DEVICE_INDICATORS if not self.reason(name))

    @property
    def tables(self) -> tuple[BlockTable, ...]:
        """The tables that prices come from, each once."""
        families = self._tables.families
        for quantity in dict.fromkeys(QUANTITY_OF.values()):
            for family in families:
                self._tables.predictor(quantity, family)
        for setting in self._tables.batches.values():
            for family in families:
                self._tables.predictor("latency_s", family, setting)
        return self._tables.used

    @cached_property
    def memory_bytes(self) -> float:
        """The memory that networks may fill: what the profile states, or else all of the device."""
        stated = self.profile.constants.get("memory_bytes")
        return self._tables.first.device.memory_bytes if stated is None else stated.value

    def reason(self, name: str) -> str:
        """Why an indicator is not available; empty where it is."""
        if name in COUNTED:
            return ""
        quantity = QUANTITY_OF[name]
        where = f"on {self.profile.name} in {self._tables.name}"
        for family in self._tables.families:
            if self._tables.blocks(quantity, family) is None:
                return f"the networks of {family} generate no text"
            if self._tables.predictor(quantity, family) is None:
                if "energy" in quantity and not self._tables.holds("energy"):
                    return f"energy is not counted on {self.profile.name}"
                return f"{quantity} of {family} was not measured {where}"
        gone = [key for key in CONSTANTS_OF.get(name, ()) if key not in self.profile.constants]
        if gone:
            return f"the profile {self.profile.name} states no {' and no '.join(gone)}"
        if name in QUANTILES and not all(map(self._certificate, self._tables.families)):
            return f"the table of {quantity} {where} has no certificate that it follows from"
        return ""

    def estimate(self, quantity: str, architecture: Architecture) -> Estimate:
        """What a table says of an architecture.

        Raises:
            LookupError: There is no table of that quantity.
        """
        return self._tables.required(quantity, architecture.space).price(architecture)

    def predictor(self, quantity: str, family: str) -> TablePredictor | None:
        """What prices a quantity of a family, if anything does."""
        return self._tables.predictor(quantity, family)

    def price(
        self, architecture: Architecture, names: Collection[str] | None = None
    ) -> dict[str, Value]:
        """Indicators of an architecture.

        Args:
            architecture: Of one of the families.
            names: Which of :attr:`names`; all of them when absent.
        """
        values: dict[str, Value] = {}
        estimates: dict[str, Estimate] = {}
        for name in self.names if names is None else names:
            if name == "device_peak_memory_bytes":
                values[name] = self._counted(self._peak(architecture, self.setting.batch), True)
            elif name == "max_batch":
                memory, dtype = self.memory_bytes, self.setting.dtype
                largest = device_memory.largest_batch(architecture, self.counts, memory, dtype)
                values[name] = self._counted(largest, False)
            elif name == "throughput_per_s":
                values[name] = self._throughput(architecture)
            else:
                quantity = QUANTITY_OF[name]
                if quantity not in estimates:
                    estimates[quantity] = self.estimate(quantity, architecture)
                values[name] = _times(estimates[quantity], self._factor(name, architecture.space))
        return values

    def price_codes(
        self, space: SearchSpace, codes: NDArray[Any], names: Collection[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Indicators of many architectures: arrays ``[n]`` from codes ``[n, parameters]``.

        Args:
            space: Where they come from.
            codes: As the space codes them.
            names: As for :meth:`price`.
        """
        codes = np.asarray(codes)
        parts = list(_by_family(space, codes))
        sums: dict[tuple[str, str], NDArray[np.float64]] = {}
        values: dict[str, NDArray[Any]] = {}
        for name in self.names if names is None else names:
            if name == "device_peak_memory_bytes":
                values[name] = self._peaks(space, codes, self.setting.batch)
            elif name == "max_batch":
                values[name] = device_memory.largest_batches(
                    space, codes, self.counts, self.memory_bytes, self.setting.dtype
                )
            elif name == "throughput_per_s":
                values[name] = self._throughputs(space, codes, parts)
            else:
                quantity = QUANTITY_OF[name]
                values[name] = np.empty(len(codes))
                for member, rows, own in parts:
                    key = quantity, member.name
                    if key not in sums:
                        sums[key] = self._tables.required(*key).price_codes(member, own)
                    values[name][rows] = sums[key] * self._factor(name, member.name).value
        return values

    def probability(self, name: str, architecture: Architecture, limit: float) -> float | None:
        """Probability that a network, once measured, keeps to a budget.

        The certificate's error decides (:meth:`hw_profiles.Certificate.probability_within`).

        Args:
            name: One of :attr:`names`.
            architecture: The network.
            limit: At most this; of throughput and the largest batch, at least.

        Returns:
            ``None`` where the table has no certificate; 0 or 1 where the value is counted.
        """
        family = architecture.space
        if name in COUNTED:
            value = self.price(architecture, [name])[name].value
            return float(value >= limit if name == "max_batch" else value <= limit)
        if name == "throughput_per_s":
            batch, estimate, table = self._best_batch(architecture)
            certificate, limit = table.certificate, batch / limit
        else:
            estimate = self.estimate(QUANTITY_OF[name], architecture)
            certificate = self._tables.required(QUANTITY_OF[name], family).table.certificate
        if certificate is None:
            return None
        if name in QUANTILES:
            networks, position = certificate.of_family(family), QUANTILES.index(name)
            kept = sum(estimate.value * m.tail[position] / m.predicted <= limit for m in networks)
            return (kept + 0.5) / (len(networks) + 1)
        if name != "throughput_per_s":
            limit /= self._factor(name, family).value
        return certificate.probability_within(estimate.value, limit, family)

    def _certificate(self, family: str) -> Certificate | None:
        return self._tables.required("latency_s", family).table.certificate

    def _factor(self, name: str, family: str) -> _Factor:
        """What a value of the indicator's table is multiplied by."""
        key = name, family
        if key not in self._factors:
            self._factors[key] = self._find_factor(name, family)
        return self._factors[key]

    def _find_factor(self, name: str, family: str) -> _Factor:
        if name in QUANTILES:
            certificate = self._certificate(family)
            assert certificate is not None, "It would not be available."
            return _Factor(*certificate.tail_factor(QUANTILES.index(name), family))
        given = self.profile.constants
        factor = 1.0
        if name == "carbon_g":
            factor = given["pue"].value * given["carbon_intensity"].value / JOULES_PER_KWH
            factor /= self.setting.batch
        elif name == "cost_usd":
            factor = given["chip_price"].value / SECONDS_PER_HOUR / self.setting.batch
        elif name == "train_cost_usd":
            factor = given["chip_price"].value / SECONDS_PER_HOUR
        return _Factor(factor, factor, factor)

    def _counted(self, value: float, at_batch: bool) -> Value:
        dtype, batch = self.setting.dtype, self.setting.batch
        return Value(
            value, None, None, "predicted", f"batch {batch}, {dtype}" if at_batch else dtype
        )

    def _peak(self, architecture: Architecture, batch: int) -> float:
        return device_memory.peak_bytes(architecture, self.counts, batch, self.setting.dtype)

    def _peaks(self, space: SearchSpace, codes: NDArray[Any], batch: int) -> NDArray[np.float64]:
        dtype = self.setting.dtype
        return device_memory.peak_bytes_of_codes(space, codes, self.counts, batch, dtype)

    def _throughput(self, architecture: Architecture) -> Value:
        batch, estimate, _ = self._best_batch(architecture)
        at = f"batch {batch}"
        if self._peak(architecture, batch) > self.memory_bytes:
            at += ", which does not fit"
        low, high = None, None
        if estimate.low and estimate.high:
            low, high = batch / estimate.high, batch / estimate.low
        return Value(batch / estimate.value, low, high, estimate.provenance, at)

    def _best_batch(self, architecture: Architecture) -> tuple[int, Estimate, BlockTable]:
        """The batch of the most examples a second, of those that fit; the least if none does."""
        best: tuple[int, Estimate, BlockTable] | None = None
        for batch, setting in self._tables.batches.items():
            predictor = self._tables.predictor("latency_s", architecture.space, setting)
            if predictor is None:
                continue
            if best is not None and self._peak(architecture, batch) > self.memory_bytes:
                break
            estimate = predictor.price(architecture)
            if best is None or batch / estimate.value > best[0] / best[1].value:
                best = batch, estimate, predictor.table
        assert best is not None, "It would not be available."
        return best

    def _throughputs(
        self,
        space: SearchSpace,
        codes: NDArray[Any],
        parts: Sequence[tuple[SearchSpace, NDArray[np.int64], NDArray[Any]]],
    ) -> NDArray[np.float64]:
        best = np.zeros(len(codes))
        for batch, setting in self._tables.batches.items():
            peaks = self._peaks(space, codes, batch)
            for member, rows, own in parts:
                predictor = self._tables.predictor("latency_s", member.name, setting)
                if predictor is None:
                    continue
                rate = batch / predictor.price_codes(member, own)
                fits = (peaks[rows] <= self.memory_bytes) | (best[rows] == 0)
                best[rows] = np.where(fits, np.maximum(best[rows], rate), best[rows])
        return best


def _times(estimate: Estimate, factor: _Factor) -> Value:
    value = estimate.value * factor.value
    if estimate.low is None or estimate.high is None:
        return Value(value, None, None, estimate.provenance)
    low = min(estimate.low * factor.value, estimate.value * factor.low)
    high = max(estimate.high * factor.value, estimate.value * factor.high)
    return Value(value, low, high, estimate.provenance)


def _by_family(
    space: SearchSpace, codes: NDArray[Any]
) -> Iterator[tuple[SearchSpace, NDArray[np.int64], NDArray[Any]]]:
    """Each family with the rows that are of it, and their codes in its own parameters."""
    if not isinstance(space, UnionSpace):
        yield space, np.arange(len(codes)), codes
        return
    start = 1
    for position, member in enumerate(space.members.values()):
        end = start + len(member.parameters)
        rows = np.flatnonzero(codes[:, 0] == position)
        yield member, rows, codes[rows, start:end]
        start = end

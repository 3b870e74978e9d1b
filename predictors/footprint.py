"""What a model takes over its life: energy, carbon and money of its training and of all queries.

Energy at the data centre's meter is the chips' times its overhead, and carbon is that energy times
the intensity of the grid, as Strubell et al. (2019, arXiv:1906.02243) reckon:
``kWh = PUE * t * power / 1000`` and ``CO2e = intensity * kWh``. They add the power of host and
memory to that of the chips; here the chips' is what the meter of the profile counts, and hosts
enter only as far as that meter sees them. Money is chip-hours times the price of one, which by
custom includes electricity, so that is not added.

Left out: the making of the chips, idle time between queries, and the search itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from search_spaces import UnknownNameError

__all__ = [
    "STRUBELL_INTENSITY",
    "STRUBELL_PUE",
    "Assumption",
    "BreakEven",
    "Footprint",
    "Share",
    "Tariff",
    "Workload",
    "break_even_queries",
    "footprint",
]

JOULES_PER_KWH = 3.6e6
SECONDS_PER_HOUR = 3600.0


def _check_number(name: str, value: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < math.inf:
        raise ValueError(f"`{name}` must be a number, 0 or more; got {value!r}.")


@dataclass(frozen=True, slots=True)
class Assumption:
    """A number that was not measured here.

    Attributes:
        value: The number.
        unit: Its unit.
        source: Who says so, and of when and where.
    """

    value: float
    unit: str
    source: str

    def __post_init__(self) -> None:
        _check_number("value", self.value)
        if not self.source.strip():
            raise ValueError(f"`source` of {self.value} {self.unit} is empty; say who says so.")


STRUBELL_PUE = Assumption(
    1.58, "1", "world average of 2018, Ascierto 2018, in Strubell et al. 2019, arXiv:1906.02243"
)
STRUBELL_INTENSITY = Assumption(
    432.7,
    "g/kWh",
    "United States, EPA eGRID 2018: 0.954 lb of CO2e per kWh, in Strubell et al. 2019",
)


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a data centre adds to a chip's joules and seconds.

    Attributes:
        carbon_intensity: Grams of CO2 equivalent per kWh at its meter, in ``"g/kWh"``.
        pue: Power usage effectiveness: its energy over that of its computers, at least 1, in
            ``"1"``.
        chip_price: Price of a chip for an hour, in ``"USD/h"``; ``None`` where there is none, and
            then nothing has a price.
    """

    carbon_intensity: Assumption = STRUBELL_INTENSITY
    pue: Assumption = STRUBELL_PUE
    chip_price: Assumption | None = None

    def __post_init__(self) -> None:
        units = {"carbon_intensity": "g/kWh", "pue": "1", "chip_price": "USD/h"}
        for name, unit in units.items():
            given: Assumption | None = getattr(self, name)
            if given is not None and given.unit != unit:
                raise ValueError(f"`{name}` must be in {unit!r}; got {given.unit!r}. Convert it.")
        if self.pue.value < 1:
            raise ValueError(
                f"`pue` must be at least 1, as a data centre takes no less than its computers; got "
                f"{self.pue.value}."
            )


@dataclass(frozen=True, slots=True)
class Workload:
    """What a model asks of its chips, before any overhead.

    Attributes:
        query_s: Chip-seconds of a query: 1 over the throughput of a chip, or the latency where
            queries are served one by one.
        query_energy_j: Chip-joules of a query; ``None`` where the device does not count them.
        train_s: Seconds that each chip trains; 0 for a model that is there already.
        train_energy_j: Joules that each chip takes for that; ``None`` where it does not count them.
    """

    query_s: float
    query_energy_j: float | None
    train_s: float = 0.0
    train_energy_j: float | None = 0.0

    def __post_init__(self) -> None:
        for name in ("query_s", "query_energy_j", "train_s", "train_energy_j"):
            if getattr(self, name) is not None:
                _check_number(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class Share:
    """Part of a footprint.

    Attributes:
        chip_s: Chip-seconds.
        energy_j: Joules at the data centre's meter; ``None`` where the chip's are not known.
        carbon_g: Grams of CO2 equivalent; ``None`` likewise.
        cost_usd: US dollars; ``None`` without a price.
    """

    chip_s: float
    energy_j: float | None
    carbon_g: float | None
    cost_usd: float | None

    def __add__(self, other: Share) -> Share:
        """Both; unknown where either is."""
        return Share(
            self.chip_s + other.chip_s,
            _sum(self.energy_j, other.energy_j),
            _sum(self.carbon_g, other.carbon_g),
            _sum(self.cost_usd, other.cost_usd),
        )

    def __mul__(self, times: float) -> Share:
        """So many of it."""
        return Share(
            self.chip_s * times,
            None if self.energy_j is None else self.energy_j * times,
            None if self.carbon_g is None else self.carbon_g * times,
            None if self.cost_usd is None else self.cost_usd * times,
        )


@dataclass(frozen=True, slots=True)
class Footprint:
    """Of a model over its life.

    Attributes:
        training: Of training, on all chips.
        query: Of one query.
        queries: How many there are.
        chips: How many chips train and serve.
    """

    training: Share
    query: Share
    queries: float
    chips: int

    @property
    def inference(self) -> Share:
        """Of all queries."""
        return self.query * self.queries

    @property
    def total(self) -> Share:
        """Of training and all queries."""
        return self.training + self.inference

    @property
    def elapsed_s(self) -> float:
        """Seconds that all chips are busy together: they train, then share the queries."""
        return self.total.chip_s / self.chips


def footprint(workload: Workload, *, queries: float, tariff: Tariff, chips: int = 1) -> Footprint:
    """Lifetime footprint of a model.

    ``energy = PUE * (chips * train_energy + queries * query_energy)``, ``carbon = intensity *
    energy``, ``cost = price * (chips * train_s + queries * query_s)``. Each chip serves queries by
    itself, so their number changes how long serving takes and not what it takes.

    Args:
        workload: Seconds and joules of the chips.
        queries: Over the model's life.
        tariff: Carbon, overhead and price, each with its source.
        chips: How many train for ``train_s`` each, and serve.

    Raises:
        ValueError: A number is negative, NaN or infinite, or there is no chip.

    >>> chip = Assumption(3.6, "USD/h", "an example")
    >>> tariff = Tariff(Assumption(500, "g/kWh", "an example"), Assumption(1.2, "1", "same"), chip)
    >>> life = footprint(Workload(0.002, 0.9, 3600, 1.8e6), queries=1e6, tariff=tariff, chips=8)
    >>> life.training.carbon_g, life.inference.carbon_g, life.total.cost_usd
    (2400.0, 150.0, 30.8)
    """
    _check_number("queries", queries)
    if type(chips) is not int or chips < 1:
        raise ValueError(f"`chips` must be a whole number above 0; got {chips!r}.")
    return Footprint(
        training=_share(workload.train_s, workload.train_energy_j, tariff) * chips,
        query=_share(workload.query_s, workload.query_energy_j, tariff),
        queries=queries,
        chips=chips,
    )


def _share(chip_s: float, chip_j: float | None, tariff: Tariff) -> Share:
    energy_j = None if chip_j is None else chip_j * tariff.pue.value
    price = tariff.chip_price
    return Share(
        chip_s=chip_s,
        energy_j=energy_j,
        carbon_g=None
        if energy_j is None
        else energy_j / JOULES_PER_KWH * tariff.carbon_intensity.value,
        cost_usd=None if price is None else chip_s / SECONDS_PER_HOUR * price.value,
    )


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Which of two models takes less, by the number of queries.

    Attributes:
        queries: Where both take the same, not rounded; ``None`` where one takes less, or both the
            same, at every number above 0.
        below: Which takes less at fewer queries: ``"a"``, ``"b"`` or ``"same"``.
        above: Which takes less at more.
    """

    queries: float | None
    below: Literal["a", "b", "same"]
    above: Literal["a", "b", "same"]


def break_even_queries(
    a: Footprint,
    b: Footprint,
    quantity: Literal["chip_s", "energy_j", "carbon_g", "cost_usd"] = "carbon_g",
) -> BreakEven:
    """How many queries it takes for the cheaper query to pay for the dearer training.

    Both lives are lines over the number of queries, ``training + queries * query``; their own
    numbers of queries do not matter. They may be on other chips, at another tariff.

    Args:
        a: One model.
        b: The other.
        quantity: A field of :class:`Share`.

    Raises:
        UnknownNameError: There is no such quantity.
        ValueError: It is not known of one of them.

    >>> tariff = Tariff(chip_price=Assumption(3.6, "USD/h", "an example"))
    >>> small = footprint(Workload(0.002, None, 9000), queries=1, tariff=tariff)
    >>> large = footprint(Workload(0.005, None, 3000), queries=1, tariff=tariff)
    >>> found = break_even_queries(small, large, "cost_usd")
    >>> round(found.queries), found.below, found.above
    (2000000, 'b', 'a')
    """
    known = Share.__slots__
    if quantity not in known:
        raise UnknownNameError("quantity", quantity, known)
    fixed = _known(a.training, b.training, quantity)
    each = _known(a.query, b.query, quantity)
    below, above = _less(fixed) or _less(each), _less(each) or _less(fixed)
    if below is None or above is None:
        return BreakEven(None, "same", "same")
    if below == above:
        return BreakEven(None, below, above)
    return BreakEven((fixed[0] - fixed[1]) / (each[1] - each[0]), below, above)


def _known(a: Share, b: Share, quantity: str) -> tuple[float, float]:
    values = getattr(a, quantity), getattr(b, quantity)
    for name, value in zip("ab", values, strict=True):
        if value is None:
            raise ValueError(
                f"`{quantity}` must be known of both; it is not of `{name}`. Measure its energy or "
                "give the tariff a price, or compare another quantity."
            )
    return values


def _less(pair: tuple[float, float]) -> Literal["a", "b"] | None:
    if pair[0] == pair[1]:
        return None
    return "a" if pair[0] < pair[1] else "b"


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b

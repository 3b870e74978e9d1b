"""What networks take over their lives on a device: the workload and tariff of a footprint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hw_profiles.profile import HardwareProfile
from hw_profiles.store import Store
from nas.errors import ExperimentError
from nas.indicators import split_place
from nas.places import place_device
from predictors import ProfilePricer
from predictors.footprint import (
    Assumption,
    BreakEven,
    Footprint,
    Share,
    Tariff,
    Workload,
    break_even_queries,
    footprint,
)
from search_spaces import Architecture, CountTable

__all__ = ["Lifetime", "break_evens", "make_tariff"]

Field = Literal["chip_s", "energy_j", "carbon_g", "cost_usd"]
QUANTITIES: tuple[Field, ...] = ("chip_s", "energy_j", "carbon_g", "cost_usd")
"""Fields of a share, in the order in which they are shown."""
GIVEN = "given on the command line"


def make_tariff(
    profile: HardwareProfile,
    pue: float | None = None,
    carbon_intensity: float | None = None,
    price: float | None = None,
) -> Tariff:
    """What a data centre adds: as given, else as the profile states it, else Strubell et al. 2019.

    Args:
        profile: Of the chips.
        pue: Power usage effectiveness.
        carbon_intensity: Grams of CO2 equivalent of a kWh.
        price: US dollars of a chip for an hour.

    Raises:
        ExperimentError: A number is out of range.
    """
    options = {
        "pue": (pue, "1"),
        "carbon_intensity": (carbon_intensity, "g/kWh"),
        "chip_price": (price, "USD/h"),
    }
    known: dict[str, Assumption] = {}
    try:
        for name, (value, unit) in options.items():
            stated = profile.constants.get(name)
            if value is not None:
                known[name] = Assumption(value, unit, GIVEN)
            elif stated is not None:
                known[name] = Assumption(stated.value, stated.unit, stated.source)
        return Tariff(**known)
    except ValueError as error:
        raise ExperimentError(str(error)) from error


@dataclass(frozen=True)
class Lifetime:
    """A network's footprint, and what it rests on.

    Attributes:
        name: What the network is called.
        architecture: The network.
        footprint: Of training and all queries.
        served: Where queries are answered.
        trained: Where it is trained; ``None`` where it is not.
    """

    name: str
    architecture: Architecture
    footprint: Footprint
    served: str
    trained: str | None

    @classmethod
    def of(
        cls,
        name: str,
        architecture: Architecture,
        place: str,
        counts: CountTable,
        store: Store,
        tariff: Tariff,
        *,
        queries: float,
        train_steps: int = 0,
        train_place: str | None = None,
        chips: int = 1,
    ) -> Lifetime:
        """Reckons a lifetime from a profile's tables.

        A query takes its share of a run at the setting's batch.

        Args:
            name: What the network is called.
            architecture: The network.
            place: Where queries are answered.
            counts: Counts of blocks.
            store: Where profiles are found.
            tariff: What the data centre adds.
            queries: Over its life.
            train_steps: Steps of its training, each of a batch of the setting on every chip.
            train_place: Where it is trained; the same setting, or else the profile's first one
                that has training steps, when absent.
            chips: How many train it.

        Raises:
            ExperimentError: Seconds of a run or of a training step are not known, or a number is
                out of range.
        """
        device = place_device(place, architecture, counts, store)
        _need(device, "latency_s", "--profile")
        batch = device.setting.batch
        run_s = device.estimate("latency_s", architecture).value
        run_j = _known(device, "energy_j", architecture)
        train_s, trained = 0.0, None
        train_j: float | None = 0.0
        if train_steps:
            trained = train_place or _training_place(place, device, architecture, counts, store)
            trainer = place_device(trained, architecture, counts, store)
            _need(trainer, "train_step_s", "--train-profile")
            train_s = train_steps * trainer.estimate("train_step_s", architecture).value
            step_j = _known(trainer, "train_energy_j", architecture)
            train_j = None if step_j is None else train_steps * step_j
        try:
            workload = Workload(
                query_s=run_s / batch,
                query_energy_j=None if run_j is None else run_j / batch,
                train_s=train_s,
                train_energy_j=train_j,
            )
            found = footprint(workload, queries=queries, tariff=tariff, chips=chips)
        except ValueError as error:
            raise ExperimentError(str(error)) from error
        return cls(name, architecture, found, place, trained)

    def to_json(self) -> dict[str, Any]:
        """Every share, in SI units."""
        life = self.footprint
        return {
            "name": self.name,
            "id": self.architecture.id,
            "architecture": self.architecture.to_json(),
            "served": self.served,
            "trained": self.trained,
            "query": asdict(life.query),
            "training": asdict(life.training),
            "inference": asdict(life.inference),
            "total": asdict(life.total),
            "elapsed_s": life.elapsed_s,
        }


def break_evens(lifetimes: Sequence[Lifetime]) -> dict[str, BreakEven]:
    """Of two lifetimes, by quantity, the queries at which both take the same; of what is known."""
    a, b = (lifetime.footprint for lifetime in lifetimes)
    return {
        name: break_even_queries(a, b, name)
        for name in QUANTITIES
        if None not in (*_values(a, name), *_values(b, name))
    }


def _values(life: Footprint, name: str) -> tuple[float | None, float | None]:
    shares: tuple[Share, Share] = (life.training, life.query)
    first, second = (getattr(share, name) for share in shares)
    return first, second


def _need(device: ProfilePricer, quantity: str, option: str) -> None:
    reason = device.reason(quantity)
    if reason:
        raise ExperimentError(f"`{option}`: {reason}; name another setting.")


def _known(device: ProfilePricer, quantity: str, architecture: Architecture) -> float | None:
    """What a table says, or nothing where the device does not count it."""
    return None if device.reason(quantity) else device.estimate(quantity, architecture).value


def _training_place(
    place: str, device: ProfilePricer, architecture: Architecture, counts: CountTable, store: Store
) -> str:
    """This place, or the first setting of its profile that has training steps."""
    if not device.reason("train_step_s"):
        return place
    name, _ = split_place(place)
    for setting in device.profile.settings:
        other = f"{name}:{setting}"
        if not place_device(other, architecture, counts, store).reason("train_step_s"):
            return other
    return place

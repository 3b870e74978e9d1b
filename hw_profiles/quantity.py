"""Quantities: what a table holds of each block, all measured by the same method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from search_spaces import Architecture, UnknownNameError
from search_spaces.decoding import decoding_step

__all__ = ["QUANTITIES", "Quantity", "quantity"]


def _itself(architecture: Architecture) -> Architecture:
    return architecture


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that each block adds to a run of a network.

    Attributes:
        name: Its name; the indicator of the same name is priced with it.
        unit: SI unit of its values.
        definition: What one run is.
        network: The network that is run for an architecture: itself, or its decoding step.
        training: Whether a run is a training step rather than an inference.
    """

    name: str
    unit: str
    definition: str
    network: Callable[[Architecture], Architecture] = _itself
    training: bool = False


QUANTITIES: Mapping[str, Quantity] = {
    item.name: item
    for item in (
        Quantity("latency_s", "s", "one inference"),
        Quantity(
            "decode_step_s",
            "s",
            "generating the last token of the context with a cache of the earlier ones",
            network=decoding_step,
        ),
        Quantity("train_step_s", "s", "one training step", training=True),
        Quantity("energy_j", "J", "one inference, all that the device draws meanwhile"),
        Quantity("train_energy_j", "J", "one training step, likewise", training=True),
    )
}
"""Every quantity by name."""


def quantity(name: str) -> Quantity:
    """The quantity of a name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in QUANTITIES:
        raise UnknownNameError("quantity", name, tuple(QUANTITIES))
    return QUANTITIES[name]

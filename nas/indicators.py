"""Indicators: what a candidate costs, each with a unit, a definition and a provenance.

Every indicator is minimised. A name with ``@`` depends on hardware: ``latency_s@local`` is this
machine's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors import LatencyPredictor
from search_spaces import (
    Architecture,
    CountTable,
    SearchSpace,
    TrainingSetup,
    UnknownNameError,
    count,
    count_codes,
)

__all__ = [
    "INDICATORS",
    "Indicator",
    "Pricer",
    "Value",
    "indicator",
    "indicator_names",
    "paper_gflops",
]


@dataclass(frozen=True, slots=True)
class Indicator:
    """A cost.

    Attributes:
        name: What files call it; its unit is part of the name unless it counts something.
        unit: SI unit, or what is counted.
        phase: ``"inference"`` or ``"training"``.
        definition: What it counts, at fp32 and batch 1 unless it says otherwise; ``{training}``
            stands for the batch and the optimiser.
        needs_profile: Whether hardware decides it.
        symbol: Column heading where a person reads.
        scale: What a value is divided by under that heading.
        of_generation: Whether only networks that generate token by token have it; others have 0.
    """

    name: str
    unit: str
    phase: str
    definition: str
    symbol: str
    scale: float = 1.0
    needs_profile: bool = False
    direction: str = "minimize"
    of_generation: bool = False

    def defined(self, training: TrainingSetup | None = None) -> str:
        """The definition, for a batch and optimiser or for those of any experiment."""
        if training is None:
            at = "the experiment's batch and optimiser"
        else:
            at = f"batch {training.batch_size} with {training.optimizer}"
        return self.definition.format(training=at)


INDICATORS: dict[str, Indicator] = {
    item.name: item
    for item in (
        Indicator(
            "params",
            "elements",
            "inference",
            "Distinct trainable elements; shared ones count once.",
            "params k",
            1e3,
        ),
        Indicator(
            "active_params",
            "elements",
            "inference",
            "Trainable elements that one token uses: of a mixture's experts, those it is sent to.",
            "active k",
            1e3,
        ),
        Indicator(
            "macs",
            "multiply-accumulates",
            "inference",
            "Multiply-accumulates of convolutions and matrix products.",
            "MACs M",
            1e6,
        ),
        Indicator(
            "effective_macs",
            "multiply-accumulates",
            "inference",
            "MACs but for those of weights that are zero and stay so (unstructured sparsity).",
            "eff. MACs M",
            1e6,
        ),
        Indicator(
            "flops",
            "operations",
            "inference",
            "Twice the MACs plus elementwise operations, as XLA's cost analysis counts them.",
            "FLOPs M",
            1e6,
        ),
        Indicator(
            "activations",
            "elements",
            "inference",
            "Elements that convolutions and matrix products put out (Dollár et al. 2021).",
            "activ. k",
            1e3,
        ),
        Indicator(
            "memory_access_bytes",
            "bytes",
            "inference",
            "Bytes that operators read and write, weights included, none fused.",
            "access kB",
            1e3,
        ),
        Indicator(
            "memory_access_fused_bytes",
            "bytes",
            "inference",
            "Bytes of each block's inputs, weights and output: what is left when everything inside "
            "a block is fused.",
            "fused kB",
            1e3,
        ),
        Indicator(
            "peak_memory_bytes",
            "bytes",
            "inference",
            "Weights plus the most activation bytes alive at once.",
            "peak kB",
            1e3,
        ),
        Indicator(
            "model_bytes",
            "bytes",
            "inference",
            "Bytes of parameters and floating-point buffers.",
            "model kB",
            1e3,
        ),
        Indicator(
            "sequential_depth",
            "blocks",
            "inference",
            "Blocks on the longest chain in which each reads the one before.",
            "depth",
        ),
        Indicator(
            "kv_cache_bytes",
            "bytes",
            "inference",
            "Keys and values kept at the full context in generating text; 0 if it generates none.",
            "KV kB",
            1e3,
            of_generation=True,
        ),
        Indicator(
            "decode_macs",
            "multiply-accumulates",
            "inference",
            "MACs of generating the last token of the context with that cache; 0 if it generates "
            "none.",
            "decode MACs M",
            1e6,
            of_generation=True,
        ),
        Indicator(
            "decode_memory_access_bytes",
            "bytes",
            "inference",
            "Bytes read and written, none fused, in generating that token; 0 if it generates none.",
            "decode kB",
            1e3,
            of_generation=True,
        ),
        Indicator(
            "train_macs",
            "multiply-accumulates",
            "training",
            "MACs of one training step, forward and backward, at {training}.",
            "train MACs G",
            1e9,
        ),
        Indicator(
            "train_memory_bytes",
            "bytes",
            "training",
            "The most alive at once in a training step: weights, gradients, optimiser state and "
            "activations, at {training}.",
            "train MB",
            1e6,
        ),
        Indicator(
            "latency_s",
            "seconds",
            "inference",
            "Seconds of one run of the whole network, the 10 % quantile.",
            "latency ms",
            1e-3,
            needs_profile=True,
        ),
    )
}
"""Every indicator by name."""

PROFILES = ("local",)
"""Hardware profiles that a name may end with."""


def indicator(name: str) -> Indicator:
    """The indicator that a name such as ``"macs"`` or ``"latency_s@local"`` stands for.

    Raises:
        UnknownNameError: The indicator or the profile is not known, a profile is given to an
            indicator that has none, or none to one that needs it.
    """
    base, at, profile = name.partition("@")
    known = INDICATORS.get(base)
    if known is None or known.needs_profile != bool(at):
        raise UnknownNameError("indicator", name, indicator_names())
    if at and profile not in PROFILES:
        raise UnknownNameError("profile", profile, PROFILES)
    return known


def indicator_names() -> tuple[str, ...]:
    """Every indicator that can be named, with its profile where it needs one."""
    return tuple(
        full
        for item in INDICATORS.values()
        for full in ([f"{item.name}@{p}" for p in PROFILES] if item.needs_profile else [item.name])
    )


@dataclass(frozen=True, slots=True)
class Value:
    """A number and where it comes from.

    Attributes:
        value: The number, in the indicator's unit.
        low: Lower end of its 95 % interval; the value itself where it is exact, ``None`` where no
            interval is known, and the lowest of the repetitions where it was measured.
        high: Upper end, likewise.
        provenance: ``"exact"``, ``"table"``, ``"predicted"`` or ``"measured"``.
    """

    value: float
    low: float | None
    high: float | None
    provenance: str

    def to_json(self) -> dict[str, Any]:
        """Every field."""
        return asdict(self)


class Pricer:
    """Prices architectures with every indicator, without building them.

    Args:
        counts: Counts of blocks.
        training: Batch and optimiser of the training indicators.
        latency: A predictor for each profile.
    """

    def __init__(
        self,
        counts: CountTable,
        training: TrainingSetup,
        latency: Mapping[str, LatencyPredictor],
    ) -> None:
        self.counts, self.training, self.latency = counts, training, dict(latency)

    def price(self, architecture: Architecture) -> dict[str, Value]:
        """Every indicator of one architecture, by name."""
        exact = asdict(count(architecture, self.counts, self.training))
        values = {name: Value(exact[name], exact[name], exact[name], "exact") for name in exact}
        for profile, predictor in self.latency.items():
            estimate = predictor.price(architecture)
            values[f"latency_s@{profile}"] = Value(
                estimate.value_s, estimate.low_s, estimate.high_s, estimate.provenance
            )
        return values

    def price_codes(self, space: SearchSpace, codes: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Every indicator of many architectures: arrays ``[n]`` from codes ``[n, parameters]``."""
        values: dict[str, NDArray[Any]] = dict(
            count_codes(space, np.asarray(codes), self.counts, self.training)
        )
        for profile, predictor in self.latency.items():
            values[f"latency_s@{profile}"] = predictor.price_codes(space, codes)
        return values


def paper_gflops(values: Mapping[str, Value]) -> float:
    """What the tables of The Efficiency Misnomer (Dehghani et al. 2022) print as "GFLOPs".

    Half the operations that XLA's cost analysis counts, in 1e9: about the MACs.
    """
    return values["flops"].value / 2e9

"""Indicators: what a candidate costs or gives, each with a unit, a definition and a direction.

A name with ``@`` depends on hardware: ``latency_s@local`` is this machine's in the setting of the
experiment, ``latency_s@nvidia-h200:cudagraph-fp16-b1`` that of a profile in one of its settings;
without a setting it is the profile's first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hw_profiles.profile import HardwareProfile, shipped_profiles
from search_spaces import TrainingSetup, UnknownNameError

__all__ = [
    "INDICATORS",
    "LOCAL",
    "Indicator",
    "check_name",
    "check_place",
    "indicator",
    "indicator_names",
    "split_name",
    "split_place",
]


@dataclass(frozen=True, slots=True)
class Indicator:
    """A cost, or a yield.

    Attributes:
        name: What files call it; its unit is part of the name unless it counts something.
        unit: SI unit, or what is counted.
        phase: ``"inference"`` or ``"training"``.
        definition: What it counts, at fp32 and batch 1 unless it says otherwise; ``{training}``
            stands for the batch and the optimiser.
        symbol: Column heading where a person reads.
        scale: What a value is divided by under that heading.
        needs_profile: Whether hardware decides it.
        maximize: Whether more of it is better.
        of_generation: Whether only networks that generate token by token have it; others have 0.
        follows: Another indicator that it is a multiple of within each family: beside that one it
            weighs nothing in a knee or a hypervolume.
    """

    name: str
    unit: str
    phase: str
    definition: str
    symbol: str
    scale: float = 1.0
    needs_profile: bool = False
    maximize: bool = False
    of_generation: bool = False
    follows: str = ""

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """``"minimize"`` or ``"maximize"``."""
        return "maximize" if self.maximize else "minimize"

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
            "Seconds of one run of the whole network at the setting's batch, the 10 % quantile.",
            "latency ms",
            1e-3,
            needs_profile=True,
        ),
        *(
            Indicator(
                f"latency_p{percent}_s",
                "seconds",
                "inference",
                f"Seconds that {percent} % of such runs take at most, what disturbs them included.",
                f"p{percent} ms",
                1e-3,
                needs_profile=True,
                follows="latency_s",
            )
            for percent in (50, 90, 99)
        ),
        Indicator(
            "throughput_per_s",
            "examples/s",
            "inference",
            "Examples a second in runs at the best batch that was measured and fits the memory.",
            "examples/s",
            needs_profile=True,
            maximize=True,
        ),
        Indicator(
            "decode_step_s",
            "seconds",
            "inference",
            "Seconds of generating the last token of the context with a cache of the earlier ones.",
            "decode ms",
            1e-3,
            needs_profile=True,
            of_generation=True,
        ),
        Indicator(
            "train_step_s",
            "seconds",
            "training",
            "Seconds of one training step at the setting's batch, the 10 % quantile.",
            "train step ms",
            1e-3,
            needs_profile=True,
        ),
        Indicator(
            "energy_j",
            "joules",
            "inference",
            "Joules of one run at the setting's batch, all that the device's counter sees.",
            "energy mJ",
            1e-3,
            needs_profile=True,
        ),
        Indicator(
            "train_energy_j",
            "joules",
            "training",
            "Joules of one training step at the setting's batch, all that the device's counter "
            "sees.",
            "train J",
            needs_profile=True,
        ),
        Indicator(
            "carbon_g",
            "grams of CO2 equivalent",
            "inference",
            "Grams for one query: its share of the run's joules, times PUE and carbon intensity.",
            "carbon ug",
            1e-6,
            needs_profile=True,
        ),
        Indicator(
            "cost_usd",
            "US dollars",
            "inference",
            "Dollars for one query: its share of the run's seconds, times the price of a chip.",
            "USD/M queries",
            1e-6,
            needs_profile=True,
        ),
        Indicator(
            "train_cost_usd",
            "US dollars",
            "training",
            "Dollars for one training step: its seconds times the price of a chip.",
            "USD/M steps",
            1e-6,
            needs_profile=True,
        ),
        Indicator(
            "device_peak_memory_bytes",
            "bytes",
            "inference",
            "Weights plus the most activation bytes alive at once, at the setting's batch and "
            "number format.",
            "device peak MB",
            1e6,
            needs_profile=True,
        ),
        Indicator(
            "max_batch",
            "examples",
            "inference",
            "Examples of the largest batch whose peak memory fits, in the setting's number format.",
            "max batch",
            needs_profile=True,
            maximize=True,
        ),
    )
}
"""Every indicator by name."""

LOCAL = "local"
"""The profile of this machine."""


def split_name(name: str) -> tuple[str, str]:
    """What comes before the ``@`` of a name, and the place after it; empty where there is none."""
    base, _, place = name.partition("@")
    return base, place


def split_place(place: str) -> tuple[str, str]:
    """Profile and setting of a place; an empty setting stands for the profile's first.

    >>> split_place("nvidia-h200:cudagraph-fp16-b1")
    ('nvidia-h200', 'cudagraph-fp16-b1')
    """
    profile, _, setting = place.partition(":")
    return profile, setting


def indicator(name: str) -> Indicator:
    """The indicator that a name such as ``"macs"`` or ``"latency_s@local"`` stands for.

    Raises:
        UnknownNameError: The indicator is not known, a place is given to one that has none, or none
            to one that needs it.
    """
    base, at, place = name.partition("@")
    known = INDICATORS.get(base)
    if known is None or known.needs_profile != bool(at):
        profile = split_place(place)[0] or LOCAL
        raise UnknownNameError("indicator", name, indicator_names(profile))
    return known


def check_name(name: str, profiles: Mapping[str, Path] | None = None) -> None:
    """Refuses a name that stands for no indicator, or for one of a place that is not there.

    Args:
        name: As :func:`indicator` takes it.
        profiles: As for :func:`check_place`.

    Raises:
        UnknownNameError: See above.
    """
    if indicator(name).needs_profile:
        check_place(split_name(name)[1], profiles)


def check_place(place: str, profiles: Mapping[str, Path] | None = None) -> None:
    """Refuses a profile that is not there, or that has no such setting.

    What this machine's has is only known where its tables are.

    Args:
        place: ``"PROFILE"`` or ``"PROFILE:SETTING"``.
        profiles: Folder of each profile but this machine's; the shipped ones when absent.

    Raises:
        UnknownNameError: See above.
    """
    profile, setting = split_place(place)
    folders = shipped_profiles() if profiles is None else profiles
    if profile != LOCAL:
        if profile not in folders:
            raise UnknownNameError("profile", profile, (LOCAL, *folders))
        HardwareProfile.load(folders[profile]).setting(setting)


def indicator_names(place: str = LOCAL) -> tuple[str, ...]:
    """Every indicator that can be named, those of a device with a place."""
    return tuple(f"{i.name}@{place}" if i.needs_profile else i.name for i in INDICATORS.values())

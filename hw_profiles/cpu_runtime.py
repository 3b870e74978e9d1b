"""What runtimes on the host's processor have in common."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

from hw_profiles.device import Device, local_device
from hw_profiles.errors import UnavailableError
from hw_profiles.runtime import Run, Setting, initial_weights, random_inputs
from hw_profiles.timing import CPU_EFFORT, in_turn, on_one_core
from search_spaces.validation import check_whole

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from search_spaces import Architecture

__all__ = ["CpuRuntime", "model_and_input"]

CALIBRATION_SEEDS = range(1, 5)
"""Of the inputs that ranges of activations are taken from; the input that is timed has seed 0."""


class CpuRuntime(ABC):
    """A runtime whose runs are over when they return, on this machine's processor.

    Attributes:
        name: Its name in settings.
        dtypes: Number formats that it offers.

    Args:
        dtype: One of ``dtypes``.
        batch: Examples in a run.
        threads: Threads that compute.
        training: Not offered.

    Raises:
        ValueError: It has no such setting.
    """

    name: ClassVar[str]
    dtypes: ClassVar[tuple[str, ...]]
    effort = CPU_EFFORT

    def __init__(
        self, dtype: str = "fp32", batch: int = 1, threads: int = 1, training: bool = False
    ) -> None:
        if dtype not in self.dtypes:
            known = ", ".join(self.dtypes)
            raise ValueError(f"`dtype` of {self.name} must be one of {known}; got {dtype!r}.")
        if training:
            raise ValueError(f"`training` is not offered by {self.name}; take cudagraph on a GPU.")
        self.setting = Setting(self.name, self.version, dtype, batch, threads)
        check_whole(self.setting, "batch", "threads")

    @property
    @abstractmethod
    def version(self) -> str:
        """Version of the runtime."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Of what else decides how fast it runs them: nothing."""
        return {}

    @property
    def device(self) -> Device:
        """This machine's processor."""
        return local_device()

    @abstractmethod
    def prepare(self, architecture: Architecture | None) -> Run:
        """A session on random weights and a random input; one call is one inference."""

    def time(self, runs: Sequence[Run], rounds: int) -> NDArray[np.float64]:
        """Seconds of each run, ``[rounds, runs]``, by the host's monotonic clock."""
        return in_turn(runs, rounds, time.perf_counter)

    def finish(self) -> None:
        """Returns at once: a run is over when it returns."""
        return

    def pinned(self) -> AbstractContextManager[int | None]:
        """One core for one thread; several are left to the system, which knows who is idle."""
        return on_one_core(self.setting.threads == 1)


def model_and_input(
    architecture: Architecture | None, setting: Setting
) -> tuple[onnx.ModelProto, dict[str, NDArray[Any]]]:
    """The network that a setting runs, with random weights, and an input at its batch.

    Args:
        architecture: The network; ``None`` for one that returns its input.
        setting: Of its fields, the number format and the batch decide; in int8 the network is
            quantised (:mod:`hw_profiles.quantization`), in any other format it is written in fp32.

    Raises:
        UnavailableError: There are more threads than cores.
    """
    import numpy as np

    from hw_profiles.onnx_graph import (
        IDENTITY_SHAPE,
        INPUT_NAME,
        identity_model,
        input_names,
        write_onnx,
    )

    cores = local_device().cores
    if setting.threads > cores:
        raise UnavailableError(
            f"`threads` must not exceed the {cores} cores that this process may use, as threads "
            f"that share one would wait for each other; got {setting.threads}."
        )
    if architecture is None:
        shape = (setting.batch, *IDENTITY_SHAPE)
        return identity_model(), {INPUT_NAME: np.zeros(shape, dtype=np.float32)}
    names = input_names(architecture)

    def feed(batch: int, seed: int) -> dict[str, NDArray[Any]]:
        return dict(zip(names, random_inputs(architecture, batch, seed), strict=True))

    model = write_onnx(architecture, initial_weights(architecture))
    if setting.dtype == "int8":
        from hw_profiles.quantization import quantize

        model = quantize(model, [feed(1, seed) for seed in CALIBRATION_SEEDS])
    return model, feed(setting.batch, 0)

"""How an experiment measures: the runtime and its setting, and how much of a space is timed."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

from pydantic import Field

from hw_profiles import RUNTIMES, Runtime, Setting, make_runtime
from hw_profiles.quantity import quantity as find_quantity
from nas.config import Config, Whole
from nas.errors import ExperimentError
from search_spaces import UnknownNameError

__all__ = ["MeasurementConfig", "runtime_defaults"]


class MeasurementConfig(Config):
    """How the tables of this machine are made, and networks run on it.

    Attributes:
        runtime: Name of the runtime.
        dtype: Number format; the runtime's default when absent.
        batch: Examples in a run.
        threads: Threads of a run; the runtime's default when absent.
        max_blocks: Blocks measured at most; the rest are predicted and flagged.
        certificate: Whole networks of each family that certify a table.
    """

    runtime: str = "onnxruntime"
    dtype: str | None = None
    batch: Whole = Field(default=1, ge=1)
    threads: Whole | None = Field(default=None, ge=0)
    max_blocks: Whole = Field(default=400, ge=8)
    certificate: Whole = Field(default=100, ge=20)

    def resolved(self) -> MeasurementConfig:
        """The same with the runtime's defaults written out.

        Raises:
            UnknownNameError: There is no such runtime.
        """
        defaults = runtime_defaults(self.runtime)
        chosen = {k: v for k, v in defaults.items() if getattr(self, k) is None}
        return self.model_copy(update=chosen)

    def make_runtime(self, quantity: str = "latency_s") -> Runtime:
        """The runtime that a quantity is measured with.

        Raises:
            UnknownNameError: There is no such runtime or quantity.
            ExperimentError: It has no such setting.
            UnavailableError: What it needs is not on this machine.
        """
        try:
            return make_runtime(
                self.runtime,
                dtype=self.dtype,
                batch=self.batch,
                threads=self.threads,
                training=find_quantity(quantity).training,
            )
        except UnknownNameError:
            raise
        except ValueError as error:
            raise ExperimentError(f"`measurement`: {error}") from error

    @property
    def setting_name(self) -> str:
        """Name of the setting."""
        known = self.resolved()
        assert known.dtype is not None
        assert known.threads is not None
        return Setting(known.runtime, "", known.dtype, known.batch, known.threads).name


def runtime_defaults(name: str) -> dict[str, Any]:
    """Number format and threads of a runtime, without making one, which may need a device.

    Raises:
        UnknownNameError: There is no such runtime.

    >>> runtime_defaults("onnxruntime")
    {'dtype': 'fp32', 'threads': 1}
    """
    if name not in RUNTIMES:
        raise UnknownNameError("runtime", name, tuple(RUNTIMES))
    module, _, cls = RUNTIMES[name].partition(":")
    parameters = inspect.signature(getattr(import_module(module), cls)).parameters
    return {key: parameters[key].default for key in ("dtype", "threads")}

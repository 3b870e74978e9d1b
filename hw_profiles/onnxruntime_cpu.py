"""ONNX Runtime on CPU."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from hw_profiles.cpu_runtime import CpuRuntime, model_and_input
from hw_profiles.runtime import Run

if TYPE_CHECKING:
    from search_spaces import Architecture

__all__ = ["OnnxRuntimeCpu", "session", "session_options"]

KEPT_BYTES = 512 * 2**20
"""Models kept for the next session of the same network, which is made twice at least."""


def session(model: bytes, threads: int = 1) -> Any:
    """An ONNX Runtime CPU session: sequential, every graph optimisation, a fixed thread count.

    Tables, certificates and verified exports all use these options.
    """
    import onnxruntime

    options = session_options(threads)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def session_options(threads: int = 1) -> Any:
    """What :func:`session` makes sessions with.

    With several threads, those of a session stop spinning when its run returns. By default they
    spin on for a while and take cores from the session that is timed next (seen: 2 to 5 times its
    time); without any spinning a run takes a third longer than it does in a process of its own.
    On cores that other processes keep busy, threads that spin for each other are slower still, and
    timings of several threads are worth little there.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    if threads > 1:
        options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


class OnnxRuntimeCpu(CpuRuntime):
    """ONNX Runtime on CPU, in fp32 or in int8 by static quantisation.

    int8 is that of :mod:`hw_profiles.quantization`. Quantising each run's activations on the fly
    instead, as ONNX Runtime's dynamic quantisation does, makes a small CNN four times slower.
    """

    name = "onnxruntime"
    dtypes = ("fp32", "int8")

    def __init__(
        self, dtype: str = "fp32", batch: int = 1, threads: int = 1, training: bool = False
    ) -> None:
        super().__init__(dtype, batch, threads, training)
        self._kept: dict[str, tuple[bytes, dict[str, Any]]] = {}
        self._kept_bytes = 0

    @property
    def version(self) -> str:
        """Version of the package."""
        return version("onnxruntime")

    def prepare(self, architecture: Architecture | None) -> Run:
        """A session on random weights and a random input; one call is one inference.

        Raises:
            ValueError: There are more threads than cores.
        """
        key = "" if architecture is None else architecture.id
        if key not in self._kept:
            model, feed = model_and_input(architecture, self.setting)
            self._kept[key] = model.SerializeToString(), feed
            self._kept_bytes += len(self._kept[key][0])
        data, feed = self._kept[key]
        if self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self._kept.pop(key)[0])
        run = session(data, self.setting.threads).run

        def once() -> None:
            run(None, feed)

        return once

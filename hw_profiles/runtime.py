"""Runtimes: what turns a network into something that can be run and timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from search_spaces import Architecture

__all__ = [
    "RUNTIMES",
    "OnnxRuntimeCpu",
    "Run",
    "Runtime",
    "Setting",
    "initial_weights",
    "random_inputs",
    "session",
]

Run = Callable[[], None]
"""Runs a prepared network once, to the end."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How networks are run on a device; a latency table is bound to every field.

    Attributes:
        runtime: Name of the runtime.
        version: Its version.
        dtype: Number format.
        batch: Examples in a run.
        threads: Threads that compute.
    """

    runtime: str
    version: str
    dtype: str = "fp32"
    batch: int = 1
    threads: int = 1

    @property
    def name(self) -> str:
        """Short name (``"onnxruntime-fp32-b1-t1"``)."""
        return f"{self.runtime}-{self.dtype}-b{self.batch}-t{self.threads}"

    def to_json(self) -> dict[str, Any]:
        """Every field."""
        return asdict(self)


class Runtime(Protocol):
    """Prepares networks of one setting."""

    @property
    def setting(self) -> Setting:
        """What its timings are bound to."""

    def prepare(self, architecture: Architecture | None) -> Run:
        """Makes a network with random weights ready to run; ``None`` for one that does nothing."""


def initial_weights(architecture: Architecture, seed: int = 0) -> dict[str, Any]:
    """State dict of the network's module as arrays, initialised as PyTorch would."""
    import torch

    from search_spaces.network import Network

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(architecture)
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def random_inputs(architecture: Architecture, batch: int, seed: int = 0) -> list[NDArray[Any]]:
    """One array for each input of the network: normal numbers in fp32, or token ids in int64."""
    import numpy as np

    rng = np.random.default_rng(seed)
    arrays: list[NDArray[Any]] = []
    for position, shape in enumerate(architecture.input_shapes):
        if position == 0 and architecture.token_ids is not None:
            arrays.append(rng.integers(0, architecture.token_ids, (batch, *shape)))
        else:
            arrays.append(rng.standard_normal((batch, *shape), dtype=np.float32))
    return arrays


def session(model: bytes, threads: int = 1) -> Any:
    """An ONNX Runtime CPU session: sequential, every graph optimisation, a fixed thread count.

    Tables, certificates and verified exports all use these options.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class OnnxRuntimeCpu:
    """ONNX Runtime on CPU, fp32.

    Args:
        threads: Threads of a session.
        batch: Examples in a run.
    """

    def __init__(self, threads: int = 1, batch: int = 1) -> None:
        from importlib.metadata import version

        self.setting = Setting("onnxruntime", version("onnxruntime"), batch=batch, threads=threads)

    def prepare(self, architecture: Architecture | None) -> Run:
        """A session on random weights and a random input; one call is one inference."""
        import numpy as np

        from hw_profiles.onnx_graph import (
            IDENTITY_SHAPE,
            INPUT_NAME,
            identity_model,
            input_names,
            write_onnx,
        )

        batch = self.setting.batch
        if architecture is None:
            model = identity_model()
            feed = {INPUT_NAME: np.zeros((batch, *IDENTITY_SHAPE), dtype=np.float32)}
        else:
            model = write_onnx(architecture, initial_weights(architecture))
            inputs = random_inputs(architecture, batch)
            feed = dict(zip(input_names(architecture), inputs, strict=True))
        run = session(model.SerializeToString(), self.setting.threads).run

        def once() -> None:
            run(None, feed)

        return once


RUNTIMES: dict[str, Callable[..., Runtime]] = {"onnxruntime": OnnxRuntimeCpu}
"""Runtimes by the name that an experiment's ``measurement.runtime`` takes."""

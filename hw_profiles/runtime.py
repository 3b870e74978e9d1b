"""Runtimes: what turns a network into something that can be run and timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from search_spaces import UnknownNameError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hw_profiles.device import Device
    from search_spaces import Architecture

__all__ = [
    "RUNTIMES",
    "Effort",
    "Run",
    "Runtime",
    "Setting",
    "initial_weights",
    "make_runtime",
    "random_inputs",
]


@dataclass(frozen=True, slots=True)
class Effort:
    """How long timings of a runtime take to be worth something.

    Attributes:
        visits: How often each network is prepared and timed afresh: once where timings repeat, and
            more where other work disturbs them.
        min_runs: Timed runs of a visit at least.
        max_runs: At most.
        seconds: About how long the runs of a visit, and the reference's beside them, take.
        alternate: Whether a network and the reference run in turn, run for run, as they must where
            the machine drifts in between. Where it does not, each runs by itself, since on a GPU
            the other one pushes it out of the caches.
        patience: Seconds that may be spent on waiting for quiet moments for each second of work, on
            machines that others share.
    """

    visits: int
    min_runs: int
    max_runs: int
    seconds: float
    alternate: bool = True
    patience: float = 0.0


Run = Callable[[], None]
"""Runs a prepared network once; on a device of its own, it may return before the run ends."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How networks are run on a device; a table is bound to every field.

    Attributes:
        runtime: Name of the runtime.
        version: Its version.
        dtype: Number format.
        batch: Examples in a run.
        threads: Threads that compute; 0 where threads of the host do not.
    """

    runtime: str
    version: str
    dtype: str = "fp32"
    batch: int = 1
    threads: int = 1

    @property
    def name(self) -> str:
        """Short name (``"onnxruntime-fp32-b1-t1"``, ``"cudagraph-fp16-b64"``)."""
        threads = f"-t{self.threads}" if self.threads else ""
        return f"{self.runtime}-{self.dtype}-b{self.batch}{threads}"

    def to_json(self) -> dict[str, Any]:
        """Every field."""
        return asdict(self)


class Runtime(Protocol):
    """Prepares and times networks of one setting."""

    @property
    def setting(self) -> Setting:
        """What its timings are bound to."""

    @property
    def device(self) -> Device:
        """Where it runs them."""

    @property
    def effort(self) -> Effort:
        """How long its timings take to be worth something."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of what else decides how fast it runs them."""

    def prepare(self, architecture: Architecture | None) -> Run:
        """Makes a network with random weights ready to run; ``None`` for one that does nothing."""

    def time(self, runs: Sequence[Run], rounds: int) -> NDArray[np.float64]:
        """Seconds of each run, ``[rounds, runs]``: one after the other in turn, round by round."""

    def finish(self) -> None:
        """Waits until everything that was run is over."""

    def pinned(self) -> AbstractContextManager[int | None]:
        """Holds the process to what it should run on; gives the core, if it is one."""


RUNTIMES: dict[str, str] = {
    "onnxruntime": "hw_profiles.onnxruntime_cpu:OnnxRuntimeCpu",
    "cudagraph": "hw_profiles.cuda_graph:CudaGraph",
    "openvino": "hw_profiles.openvino_cpu:OpenVinoCpu",
}
"""Class of each runtime by the name that experiments and settings use. It is called with the
``dtype``, ``batch``, ``threads`` and ``training`` that are given, and has a default for each."""


def make_runtime(name: str, **given: Any) -> Runtime:
    """A runtime by name.

    Args:
        name: A name of :data:`RUNTIMES`.
        given: ``dtype``, ``batch``, ``threads``, ``training``; ``None`` for the runtime's default.

    Raises:
        UnknownNameError: There is no such runtime.
        ValueError: It has no such setting.
        UnavailableError: What it needs is not on this machine.
    """
    if name not in RUNTIMES:
        raise UnknownNameError("runtime", name, tuple(RUNTIMES))
    module, _, cls = RUNTIMES[name].partition(":")
    chosen = {key: value for key, value in given.items() if value is not None}
    runtime: Runtime = getattr(import_module(module), cls)(**chosen)
    return runtime


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

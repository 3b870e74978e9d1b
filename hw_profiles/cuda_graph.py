"""PyTorch on a CUDA device, each run the replay of a captured graph.

Without a graph a GPU waits for the host to launch each kernel, and what is timed is the host: the
same network twice is 10 to 19 % apart. A graph is launched once and runs by itself.
"""

from __future__ import annotations

import gc
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hw_profiles.device import Device, gpu_device
from hw_profiles.runtime import Effort, Run, Setting, random_inputs
from search_spaces.validation import check_whole

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from search_spaces import Architecture, Block

__all__ = ["CudaGraph"]

DTYPES = ("fp32", "tf32", "fp16", "bf16")
WARM_RUNS = 2
AHEAD_CYCLES = 1_000_000
"""Cycles that the device sleeps (about half a millisecond) while the host gets ahead of it."""
POOL_SHARE = 0.4
"""Share of the device's memory above which weights are not kept for the next network."""


class CudaGraph:
    """PyTorch eager kernels, captured in a CUDA graph.

    fp32 products do without TF32; tf32 is fp32 with it. Inference in fp16 and bf16 has weights and
    activations in that format. Training is a forward and backward pass and a fused AdamW step, in
    bf16 by automatic mixed precision over fp32 weights; fp16 would need loss scaling. The memory
    format is PyTorch's default, and cuDNN chooses by its heuristics, which repeat.

    Weights of blocks are kept and used again in later networks; a network never has the same ones
    twice unless its blocks are tied.

    Args:
        dtype: One of fp32, tf32, fp16, bf16.
        batch: Examples in a run.
        threads: 0; the host's threads do not compute.
        training: Whether a run is a training step.

    Raises:
        ValueError: It has no such setting.
        UnavailableError: No CUDA device is here.
    """

    effort = Effort(visits=1, min_runs=5, max_runs=40, seconds=0.01, alternate=False)

    def __init__(
        self, dtype: str = "fp16", batch: int = 1, threads: int = 0, training: bool = False
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"`dtype` of cudagraph must be one of {DTYPES}; got {dtype!r}.")
        if training and dtype == "fp16":
            raise ValueError("Training in fp16 needs loss scaling, which is not here; take bf16.")
        if threads:
            raise ValueError(f"`threads` is for CPUs; cudagraph takes none, got {threads}.")
        self._device = gpu_device()
        import torch

        self.setting = Setting("cudagraph", torch.__version__, dtype, batch, threads=0)
        check_whole(self.setting, "batch")
        self.training = training
        self._kept: dict[Block, list[nn.Module]] = defaultdict(list)
        self._drawn: dict[Any, list[torch.Tensor]] = {}
        self._events: list[torch.cuda.Event] = []

    @property
    def device(self) -> Device:
        """The first CUDA device."""
        return self._device

    @property
    def versions(self) -> Mapping[str, str]:
        """CUDA, cuDNN and the driver."""
        import torch

        found = {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}
        driver = Path("/proc/driver/nvidia/version")
        if driver.exists():
            numbers = re.findall(r"\b\d+\.\d+(?:\.\d+)?\b", driver.read_text())
            found["driver"] = numbers[0] if numbers else "unknown"
        return found

    def prepare(self, architecture: Architecture | None) -> Run:
        """Captures the network on random weights and a random input; one call is one replay."""
        import torch

        with self._number_format():
            if architecture is None:
                counter = torch.zeros(1, device="cuda")
                return self._capture(lambda: counter.add_(1), [counter])
            module = self._network(architecture)
            inputs = self._inputs(architecture)
            if self.training:
                return self._training_step(module, inputs)
            with torch.inference_mode():
                return self._capture(lambda: module(*inputs), [module, inputs])

    def module(self, architecture: Architecture) -> nn.Module:
        """The network on the device with weights of its own, as :meth:`prepare` runs it."""
        return self._network(architecture)

    def _network(self, architecture: Architecture) -> nn.Module:
        import torch

        from search_spaces.network import Network

        if torch.cuda.memory_allocated() > POOL_SHARE * self._device.memory_bytes:
            self._kept.clear()
            gc.collect()
            torch.cuda.empty_cache()
        used: dict[Block, int] = defaultdict(int)
        # A node that shares single weights gets them set in its module, so that is not used again.
        sharing = {node.block for node in architecture if node.shared}

        def build(block: Block) -> nn.Module:
            if block in sharing:
                return self._new(block)
            index, used[block] = used[block], used[block] + 1
            if index == len(self._kept[block]):
                self._kept[block].append(self._new(block))
            return self._kept[block][index]

        return Network(architecture, build).train(self.training)

    def _new(self, block: Block) -> nn.Module:
        import torch

        with torch.device("cuda"):
            module = block.build()
        return module.to("cuda", self._weight_dtype)

    @property
    def _weight_dtype(self) -> torch.dtype:
        import torch

        if self.training:
            return torch.float32
        return {"fp16": torch.float16, "bf16": torch.bfloat16}.get(
            self.setting.dtype, torch.float32
        )

    def _inputs(self, architecture: Architecture) -> list[torch.Tensor]:
        """Random inputs, drawn once for each kind: they are large where the batch is."""
        import torch

        key = (architecture.input_shapes, architecture.token_ids)
        if key not in self._drawn:
            arrays = random_inputs(architecture, self.setting.batch)
            tensors = [torch.from_numpy(array).cuda() for array in arrays]
            self._drawn[key] = [
                tensor.to(self._weight_dtype) if tensor.is_floating_point() else tensor
                for tensor in tensors
            ]
        return self._drawn[key]

    def _training_step(self, module: nn.Module, inputs: list[torch.Tensor]) -> Run:
        import torch
        import torch.nn.functional as F

        parameters = [p for p in module.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True, capturable=True)
        mixed = self.setting.dtype == "bf16"
        cast: Callable[[], AbstractContextManager[Any]] = (
            (lambda: torch.autocast("cuda", torch.bfloat16, cache_enabled=False))
            if mixed
            else nullcontext
        )
        with torch.no_grad(), cast():
            shape = module(*inputs).shape
        labels = torch.randint(shape[-1], (shape.numel() // shape[-1],), device="cuda")

        def step() -> None:
            for parameter in parameters:
                parameter.grad = None
            with cast():
                output = module(*inputs)
            loss = F.cross_entropy(output.float().reshape(-1, shape[-1]), labels)
            loss.backward()
            optimizer.step()

        return self._capture(step, [module, inputs, optimizer, labels])

    def _capture(self, work: Callable[[], Any], alive: list[Any]) -> Run:
        import torch

        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_RUNS):
                work()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            alive.append(work())

        def replay() -> None:
            graph.replay()

        replay.__dict__["alive"] = alive  # What the graph reads must outlive it.
        return replay

    def time(self, runs: Sequence[Run], rounds: int) -> NDArray[np.float64]:
        """Seconds of each run, ``[rounds, runs]``, between events on the device.

        The device sleeps first, so that the host gets ahead and no launch is waited for.
        """
        import torch

        wanted = 2 * rounds * len(runs)
        while len(self._events) < wanted:
            self._events.append(torch.cuda.Event(enable_timing=True))
        events = iter(self._events)
        pairs = []
        torch.cuda._sleep(AHEAD_CYCLES)
        for _ in range(rounds):
            for run in runs:
                start, end = next(events), next(events)
                start.record()
                run()
                end.record()
                pairs.append((start, end))
        torch.cuda.synchronize()
        seconds = np.array([start.elapsed_time(end) for start, end in pairs]) / 1e3
        return seconds.reshape(rounds, len(runs))

    def finish(self) -> None:
        """Waits for the device."""
        import torch

        torch.cuda.synchronize()

    def pinned(self) -> AbstractContextManager[int | None]:
        """Nothing is pinned: the host only launches."""
        return nullcontext()

    @contextmanager
    def _number_format(self) -> Iterator[None]:
        """TF32 where the setting says so; PyTorch's switches are global."""
        import torch

        products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
        before = products.allow_tf32, convolutions.allow_tf32
        products.allow_tf32 = convolutions.allow_tf32 = self.setting.dtype == "tf32"
        try:
            yield
        finally:
            products.allow_tf32, convolutions.allow_tf32 = before

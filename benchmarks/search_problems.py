"""The problems that samplers are compared on: published tables, and a large space of the project.

Tables are read from a folder that the user names; its README says where they are from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import moocore
import numpy as np
from numpy.typing import NDArray

from benchmarks.search_score import Front, reference_front
from nas.cell_features import Cell
from nas.layer_features import LayerStack
from nas.pricer import Pricer
from nas.problem import Problem
from nas.space_problem import SpaceProblem
from nas.table_problem import TableProblem
from search_spaces import CountTable, SearchSpace, TrainingSetup, UnknownNameError, ViTSpace

__all__ = ["PROBLEMS", "Subject", "hwgpt", "large_space", "make_subject", "nb201", "table_subject"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NB201_EDGES = {"edge0": (0, 1), "edge1": (0, 2), "edge2": (1, 2), "edge3": (0, 3),
               "edge4": (1, 3), "edge5": (2, 3)}  # fmt: skip
NB201_DEVICES = ("raspi4", "pixel3", "samsung_a50", "titan_rtx_256")
NB201_NONE = 0
HWGPT_LAYERS = 12


@dataclass(frozen=True)
class Subject:
    """A problem with its answers.

    Attributes:
        name: What tables call it.
        problem: What samplers see.
        quality: The true quality ``[n]`` of codes, minimised.
        make_front: Makes the front that scores are relative to.
        noise: Standard deviation of what is added to the quality that samplers are told.
    """

    name: str
    problem: Problem
    quality: Callable[[Ints], Floats]
    make_front: Callable[[], Front]
    noise: float = 0.0

    @cached_property
    def front(self) -> Front:
        """The front that scores are relative to; made when it is first asked for."""
        return self.make_front()

    def objectives(self, codes: Ints) -> Floats:
        """True quality and costs: ``[n, 1 + costs]``."""
        return np.column_stack([self.quality(codes), self.problem.cost_values(codes)])

    def told(self, codes: Ints, rng: np.random.Generator) -> Floats:
        """What a sampler is told of the quality of candidates: ``[n]``."""
        return self.quality(codes) + self.noise * rng.standard_normal(len(codes))


def table_subject(name: str, problem: TableProblem) -> Subject:
    """The subject of a table: its front is known, and the median is that of all its rows."""

    def front() -> Front:
        quality, costs = problem.quality(problem.members), problem.cost_values(problem.members)
        return reference_front(np.column_stack([quality, costs]), float(np.median(quality)))

    return Subject(name, problem, problem.quality, front)


def nb201(folder: Path, costs: tuple[str, ...]) -> TableProblem:
    """NAS-Bench-201 on CIFAR-10 (Dong & Yang, ICLR 2020), latencies of HELP (Lee et al. 2021).

    Cells without a path are left out; of those with equal live paths, medians are taken.

    Args:
        folder: Where ``nb201_cifar10.npz`` is.
        costs: Its columns.
    """
    data = _load(folder / "nb201_cifar10.npz")
    kept = data["connected"]
    return TableProblem(
        {name: data[name][kept] for name in NB201_EDGES},
        100 - data["c10_test_acc"][kept],
        {name: data[name][kept] for name in costs},
        structures=[Cell(NB201_EDGES, frozenset({NB201_NONE}))],
    )


def hwgpt(folder: Path, costs: tuple[str, ...]) -> TableProblem:
    """HW-GPT-Bench, scale s (Sukthanker et al., NeurIPS 2024): perplexity of GPT-2 networks.

    Args:
        folder: Where ``hwgpt_s.npz`` is.
        costs: Its columns.
    """
    data = _load(folder / "hwgpt_s.npz")
    config: dict[str, NDArray[np.int64] | NDArray[np.bool_]] = {
        name: data[name] for name in ("n_embd", "n_layer", "bias")
    }
    layers = {}
    for quantity in ("n_head", "mlp_ratio"):
        rows = [[int(cell) for cell in row.split(",")] for row in data[quantity].tolist()]
        absent = rows[0][0]
        padded = np.array([row + [absent] * (HWGPT_LAYERS - len(row)) for row in rows])
        layers[quantity] = tuple(f"{quantity}_{i}" for i in range(HWGPT_LAYERS))
        config |= dict(zip(layers[quantity], padded.T, strict=True))
    return TableProblem(
        config,
        data["perplexity"],
        {name: data[name] for name in costs},
        structures=[LayerStack("n_layer", layers)],
    )


LARGE_COSTS = (
    "params",
    "macs",
    "activations",
    "memory_access_bytes",
    "peak_memory_bytes",
    "train_macs",
    "train_memory_bytes",
)
"""Depth is none of them: a cost of few whole values splits the front into as many sheets, of which
the best 80 architectures that there are hold 0.91, so that there is nothing to tell samplers by."""
LARGE_NOISE = 0.004
"""About what the seed of a training moves an error by."""


def large_vit() -> ViTSpace:
    """Vision Transformers of up to 16 layers with an MLP ratio for each: 1.1e14 networks."""
    return ViTSpace(
        resolution=32,
        patch_size=(4, 8),
        depth=tuple(range(4, 17)),
        width=(64, 128, 192, 256),
        heads=(2, 4),
        mlp_ratio=(0.5, 1, 1.5, 2, 3, 4),
    )


@dataclass(frozen=True)
class SmoothError:
    """A fixed smooth error of the networks of :func:`large_vit`, made up but of known shape.

    It falls as a power of MLP width, width, depth and tokens, as scaling laws have it (Kaplan et
    al. 2020); a network much deeper than wide loses some of that; and middle layers gain most from
    a wide MLP, each layer less the more the one before it has.

    Attributes:
        space: The space.
    """

    space: SearchSpace

    def __call__(self, codes: Ints) -> Floats:
        """The error of each: ``[n]``, between 0.04 and 0.9."""
        value = {
            name: np.array(choices, dtype=float)[codes[:, column]]
            for column, (name, choices) in enumerate(self.space.parameters.items())
            if not isinstance(choices[0], str)
        }
        pool = list(self.space.parameters).index("pool")
        mean_pool = np.array(self.space.parameters["pool"])[codes[:, pool]] == "mean"
        depth, width = value["depth"], value["width"]
        most = sum(name.startswith("mlp_ratio_") for name in value)
        ratio = np.stack([value[f"mlp_ratio_{i}"] for i in range(most)], axis=1)
        place = np.arange(most) / (depth[:, None] - 1)
        there = place <= 1 + 1e-9
        use = np.log1p(ratio) * np.exp(-0.5 * ((place - 0.5) / 0.35) ** 2)
        before = np.concatenate([np.zeros((len(ratio), 1)), np.log1p(ratio[:, :-1])], axis=1)
        layers = (np.where(there, use * (1 - 0.15 * before), 0.0)).sum(axis=1)
        tokens = (32 / value["patch_size"]) ** 2
        capacity = (
            0.45 * np.log(width / 64)
            + 0.35 * np.log(depth / 4)
            + 0.30 * np.log1p(layers)
            + 0.25 * np.log(tokens / 16)
            + 0.06 * np.log(value["heads"] / 2) * (width / 256)
            + 0.04 * mean_pool
        )
        slender = np.log(np.maximum(depth * 12 / width, 1e-9))
        capacity -= 0.12 * np.logaddexp(0.0, 3 * slender) / 3
        error: Floats = 0.04 + 0.55 * np.exp(-0.8 * capacity)
        return error


def large_space(noise: float = LARGE_NOISE) -> Subject:
    """The large space with quality and seven exact costs, and a front by a long run.

    Args:
        noise: Standard deviation of what is added to an error.
    """
    space = large_vit()
    problem = SpaceProblem(space, Pricer(CountTable(), TrainingSetup(), {}), LARGE_COSTS)
    quality = SmoothError(space)

    def front() -> Front:
        rng = np.random.default_rng(12345)
        codes = problem.random_codes(MEDIAN_SAMPLE, rng)
        return long_run(problem, quality, float(np.median(quality(codes))), rng)

    name = "large space, 8 objectives"
    if noise != LARGE_NOISE:
        name += f", noise {noise:g}" if noise else ", no noise"
    return Subject(name, problem, quality, front, noise)


MEDIAN_SAMPLE = 50_000
GENERATIONS, PER_GENERATION, KEPT = 60, 8_000, 3_000


def long_run(
    problem: Problem,
    quality: Callable[[Ints], Floats],
    limit: float,
    rng: np.random.Generator,
    generations: int = GENERATIONS,
) -> Front:
    """A front from a long run on the true quality: random search, local search and crossover.

    Of a front that grows beyond what is kept, those are kept that are best by random weighted
    Chebyshev distances (as in MOEA/D, Zhang & Li 2007), and half of the others that fit at random.
    """
    sizes = np.array([len(choices) for choices in problem.parameters.values()])
    codes = problem.random_codes(10 * PER_GENERATION, rng)
    codes, values = _nondominated(problem, quality, codes, limit)
    for _ in range(generations):
        parents = codes[rng.integers(len(codes), size=PER_GENERATION)]
        others = codes[rng.integers(len(codes), size=PER_GENERATION)]
        crossed = rng.random(PER_GENERATION) < 0.5
        mixed = (rng.random(parents.shape) < 0.5) & crossed[:, None]
        children = np.where(mixed, others, parents)
        rate = rng.choice([1.0, 2.0, 4.0], size=(PER_GENERATION, 1)) / len(sizes)
        change = rng.random(children.shape) < rate
        children = np.where(change, rng.integers(0, sizes, size=children.shape), children)
        codes, values = _nondominated(problem, quality, np.concatenate([codes, children]), limit)
        if len(codes) > KEPT:
            kept = _spread(values, rng)
            codes, values = codes[kept], values[kept]
    return reference_front(values, limit)


def _nondominated(
    problem: Problem, quality: Callable[[Ints], Floats], codes: Ints, limit: float
) -> tuple[Ints, Floats]:
    codes = np.unique(codes[problem.exist(codes)], axis=0)
    values = np.column_stack([quality(codes), problem.cost_values(codes)])
    within = values[:, 0] < limit
    codes, values = codes[within], values[within]
    kept = moocore.is_nondominated(values)
    return codes[kept], values[kept]


def _spread(values: Floats, rng: np.random.Generator) -> Ints:
    low, high = values.min(axis=0), values.max(axis=0)
    scaled = (values - low) / np.where(high > low, high - low, 1.0)
    weights = rng.dirichlet(np.ones(values.shape[1]), size=KEPT)
    best = [int(np.argmin((scaled * weight).max(axis=1))) for weight in weights]
    kept = np.zeros(len(values), dtype=bool)
    kept[best] = True
    left = np.flatnonzero(~kept)
    more = min(len(left), KEPT - int(kept.sum()))
    kept[rng.choice(left, size=more, replace=False)] = True
    return np.flatnonzero(kept)


def _load(path: Path) -> dict[str, NDArray[np.generic]]:
    if not path.exists():
        raise FileNotFoundError(
            f"There is no {path}; give the folder of the published tables with --data."
        )
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


PROBLEMS: Mapping[str, Callable[[Path], Subject]] = {
    "nb201-3": lambda folder: table_subject(
        "NB201, 3 objectives", nb201(folder, ("macs_c10", "lat_ms_titan_rtx_256"))
    ),
    "nb201-6": lambda folder: table_subject(
        "NB201, 6 objectives",
        nb201(folder, ("macs_c10", *(f"lat_ms_{device}" for device in NB201_DEVICES))),
    ),
    "hwgpt-s": lambda folder: table_subject(
        "HW-GPT-Bench s, 5 objectives",
        hwgpt(folder, ("lat_ms_a100", "energy_wh_a100", "lat_ms_cpu_meta", "mem_mb_a100")),
    ),
    "large-8": lambda folder: large_space(),
    "large-8-quiet": lambda folder: large_space(LARGE_NOISE / 4),
    "large-8-exact": lambda folder: large_space(0.0),
}
"""What makes each problem from the folder of the published tables."""


def make_subject(name: str, folder: Path) -> Subject:
    """The named problem.

    Raises:
        UnknownNameError: There is no such problem.
        FileNotFoundError: The folder does not hold its table.
    """
    if name not in PROBLEMS:
        raise UnknownNameError("problem", name, tuple(PROBLEMS))
    return PROBLEMS[name](folder)

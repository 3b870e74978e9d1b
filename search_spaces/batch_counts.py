"""Exact counts of many architectures at once, by integer indexing alone.

Where the networks are chains that share no weights, runs of slots that few parameters decide are
counted once for each combination of these; a candidate then costs one lookup for each run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from search_spaces.block_counts import (
    MAX_INPUTS,
    CountTable,
    gradient_needs,
    gradient_pattern,
)
from search_spaces.counts import FP32_BYTES, Counts, TrainingSetup
from search_spaces.slot_runs import SlotRun, slot_runs
from search_spaces.space import EMPTY, Codes, SearchSpace

__all__ = ["count_codes"]

Ints = NDArray[np.int64]

CHUNK = 16_384
"""Candidates looked up at once: few enough for their sums to stay in a cache."""

SUMS = (
    "params",
    "active_params",
    "weights",
    "indices",
    "macs",
    "effective_macs",
    "flops",
    "activations",
    "access",
    "fused_access",
    "cache",
    "decode_macs",
    "decode_access",
    "decodes",
    "blocks",
)
"""What adds up over the blocks whatever stands before them."""

PATTERNS = 2**MAX_INPUTS
"""Sets of a block's inputs that may need gradients, as bits: the first input is the lowest."""


def count_codes(
    space: SearchSpace,
    codes: Codes,
    table: CountTable,
    training: TrainingSetup | None = None,
    batch: int = 1,
) -> dict[str, NDArray[np.int64]]:
    """Counts many architectures of a space at once.

    Args:
        space: The space.
        codes: Integer codes ``[n, parameters]``.
        table: Counts of the space's blocks; those that are missing are traced. What it takes to
            count by code is kept in it for the next call.
        training: Batch and optimiser of the training counts; the defaults when absent.
        batch: Batch of the counts of inference.

    Returns:
        Every field of :class:`Counts` as an array ``[n]``; equal to
        :func:`search_spaces.counts.count` of each.
    """
    training = training or TrainingSetup()
    key = (id(space), training, batch)
    if key not in table.prepared:
        # The space is kept beside it, so that its id stays its own.
        table.prepared[key] = (space, _Prepared(space, table, training, batch))
    prepared: _Prepared = table.prepared[key][1]
    return prepared.count(np.asarray(codes))


@dataclass(frozen=True, slots=True)
class _Run:
    """What a run of slots comes to, for each row of placements.

    Attributes:
        added: What adds up: ``SUMS``, training MACs, depth, elements of the network's inputs.
        held: Elements that the run adds to those held between the blocks of a backward pass, less
            gradients of weights that are not there yet.
        most: Most elements alive in the backward pass of a block of it, before ``held`` is added.
        peak: Most elements alive in a block of it, without the network's inputs.
        output: Elements that its last block puts out; 0 where it is empty.
        state: How it leaves the tensor that the next run reads.
    """

    added: Ints
    held: Ints
    most: Ints
    peak: Ints
    output: Ints
    state: Ints


NOTHING = -(2**62)
"""Less than anything that is alive."""

STATES = 5
"""Of the tensor that a run reads first: the network's input, or 1 + (1 if it needs a gradient) +
(2 if what put it out keeps it)."""


class _Prepared:
    """A space's counts as arrays over its placements; the last entry is the empty slot's zero."""

    def __init__(
        self, space: SearchSpace, table: CountTable, training: TrainingSetup, examples: int
    ) -> None:
        self.space, self.training, self.examples = space, training, examples
        self.batch = training.batch_size
        self.counts = [table[placed.block] for placed in space.placements]
        self.inputs = max([1, *(-i for slot in space.slots for i in slot.inputs or () if i < 0)])
        placements = space.placements
        self.weights_are_shared = any(p.tie is not None or p.shared for p in placements)
        self.sums = self._sums()
        self.size_in = self._column(
            [[math.prod(shape) for shape in p.block.input_shapes] for p in placements], MAX_INPUTS
        )
        self.size_out = _ending_in_zero([math.prod(c.output_shape) for c in self.counts])
        self.peak = _ending_in_zero([c.peak.at(examples) for c in self.counts])
        self.trains = _ending_in_zero([c.params > 0 for c in self.counts]).astype(bool)
        self._training_columns()
        reach = [i for slot in space.slots for i in slot.inputs or () if i >= 0]
        self.far = sorted(set(reach))
        self.runs: list[tuple[SlotRun, _Run]] | None = None
        chain = all(slot.inputs is None for slot in space.slots)
        if chain and not self.weights_are_shared:
            self.runs = [(slots, self._tabulate(slots)) for slots in slot_runs(space)]

    def _sums(self) -> Ints:
        rows = []
        for placed, c in zip(self.space.placements, self.counts, strict=True):
            tied = placed.tie is not None
            borrowed = c.params if tied else sum(c.parameters[own] for own, _, _ in placed.shared)
            params = c.params - borrowed
            values = {
                "params": params,
                "active_params": params - (0 if tied else c.inactive_params),
                "weights": 0 if tied else c.weights - borrowed,
                "indices": 0 if tied else c.indices,
                "cache": c.cache,
                "decode_macs": c.decode_macs,
                "decode_access": c.decode_access,
                "decodes": int(c.decode_access > 0),
                "blocks": 1,
            }
            lines = {n: getattr(c, n).at(self.examples) for n in SUMS if n not in values}
            rows.append([(values | lines)[n] for n in SUMS])
        return np.array([*rows, [0] * len(SUMS)], dtype=np.int64)

    def _column(self, values: list[list[int]], width: int) -> Ints:
        """``[width, placements + 1]`` from a list for each placement, padded with zeros."""
        padded = [[*row, *[0] * (width - len(row))] for row in values]
        return np.array([*padded, [0] * width], dtype=np.int64).T

    def _training_columns(self) -> None:
        shape = (PATTERNS, len(self.counts) + 1)
        self.train_macs, self.saved, self.backward, self.again, self.saves_output = (
            np.zeros(shape, dtype=np.int64) for _ in range(5)
        )
        self.saves_input = np.zeros((MAX_INPUTS, *shape), dtype=bool)
        for i, c in enumerate(self.counts):
            for needs in gradient_needs(len(self.space.placements[i].block.input_shapes)):
                t = c.train[gradient_pattern(needs)]
                bits = sum(need << j for j, need in enumerate(needs))
                self.train_macs[bits, i] = t.macs.at(self.batch)
                self.saved[bits, i] = t.saved.at(self.batch)
                self.backward[bits, i] = t.backward.at(self.batch)
                self.again[bits, i] = t.again.at(self.batch)
                self.saves_output[bits, i] = t.saves_output
                self.saves_input[: len(needs), bits, i] = t.saves_input

    def _tabulate(self, run: SlotRun) -> _Run:
        """What a run of slots comes to by combination and state: ``[combinations * states]``."""
        placed = self.space.placement_indices(run.codes)[:, run.slots]
        by_state = [self._walk(placed, list(run.slots), state) for state in range(STATES)]
        stacked = {
            f.name: np.stack([getattr(run, f.name) for run in by_state], axis=1)
            for f in fields(_Run)
        }
        return _Run(
            **{k: np.ascontiguousarray(v.reshape(-1, *v.shape[2:])) for k, v in stacked.items()}
        )

    def count(self, codes: Codes) -> dict[str, NDArray[np.int64]]:
        """Every field of :class:`Counts` as an array ``[n]``."""
        if self.runs is None:
            slots = list(range(len(self.space.slots)))
            return self._finish(self._walk(self.space.placement_indices(codes), slots, 0))
        parts = [self._look_up(codes[at : at + CHUNK]) for at in range(0, len(codes), CHUNK)]
        parts = parts or [self._look_up(codes)]
        return {
            name: np.concatenate([part[name] for part in parts]) if len(parts) > 1 else first
            for name, first in parts[0].items()
        }

    def _look_up(self, codes: Codes) -> dict[str, NDArray[np.int64]]:
        assert self.runs is not None
        codes = np.asfortranarray(codes)  # Each parameter's codes are read by themselves.
        state, held, output = (np.zeros(len(codes), dtype=np.int64) for _ in range(3))
        most, peak = (np.full(len(codes), NOTHING) for _ in range(2))
        added = np.zeros((len(codes), self.runs[0][1].added.shape[1]), dtype=np.int64)
        for slots, run in self.runs:
            row = STATES * slots.rows(codes) + state
            added += np.take(run.added, row, axis=0)
            np.maximum(most, held + run.most[row], out=most)
            np.maximum(peak, run.peak[row], out=peak)
            held += run.held[row]
            last = run.output[row]
            output = np.where(last > 0, last, output)
            state = run.state[row]
        return self._finish(_Run(added, held, most, peak, output, state))

    def _finish(self, run: _Run) -> dict[str, NDArray[np.int64]]:
        total = dict(zip((*SUMS, "train_macs", "depth", "input"), run.added.T, strict=True))
        optimizer = self.training.costs
        generates = total["decodes"] == total["blocks"]
        alive = run.most + self.batch * (total["input"] + run.output)
        stored = total["weights"] + total["indices"]
        values = {
            "params": total["params"],
            "active_params": total["active_params"],
            "macs": total["macs"],
            "effective_macs": total["effective_macs"],
            "flops": total["flops"],
            "activations": total["activations"],
            "memory_access_bytes": FP32_BYTES * total["access"],
            "memory_access_fused_bytes": FP32_BYTES * total["fused_access"],
            "peak_memory_bytes": FP32_BYTES * (stored + run.peak + self.examples * total["input"]),
            "model_bytes": FP32_BYTES * total["weights"],
            "sequential_depth": total["depth"],
            "kv_cache_bytes": FP32_BYTES * generates * total["cache"],
            "decode_macs": generates * total["decode_macs"],
            "decode_memory_access_bytes": FP32_BYTES * generates * total["decode_access"],
            "train_macs": optimizer.passes * total["train_macs"],
            "train_memory_bytes": FP32_BYTES
            * (stored + total["params"] * (1 + optimizer.state_per_param) + alive),
        }
        return {f.name: values[f.name] for f in fields(Counts)}

    def _walk(self, placed: NDArray[np.int32], slots: list[int], state: int) -> _Run:
        """Walks through slots in order, as :func:`search_spaces.counts.count` does through nodes.

        Args:
            placed: Placements ``[n, len(slots)]``.
            slots: Which slots these are; all of them, or a run of a chain.
            state: Of the tensor that the first of them reads (:data:`STATES`).
        """
        n, rows = len(placed), np.arange(len(placed))
        added = np.zeros((n, len(SUMS) + 3), dtype=np.int64)
        held, output = (np.zeros(n, dtype=np.int64) for _ in range(2))
        most, peak = (np.full(n, NOTHING) for _ in range(2))
        # Rows of tensors: one for each slot's result, and the inputs, which -1, -2, ... index.
        needs, kept = (np.zeros((len(slots) + self.inputs, n), dtype=bool) for _ in range(2))
        depth, inputs = (np.zeros((len(slots) + self.inputs, n), dtype=np.int64) for _ in range(2))
        needs[-1] = bool(max(state - 1, 0) & 1)
        kept[-self.inputs :] = state == 0 or bool((state - 1) & 2)
        previous = np.full(n, -1)
        at: list[Ints] = []
        new, again = self._weight_gradients(placed)
        last_read = self._last_read(placed) if self.far else {}
        for position, slot in enumerate(slots):
            index = placed[:, position]
            present = index != EMPTY
            wiring = self.space.slots[slot].inputs
            sources = (
                [previous]
                if wiring is None
                else [at[i] if i >= 0 else np.full(n, i) for i in wiring]
            )
            bits = sum(needs[s, rows].astype(np.int64) << j for j, s in enumerate(sources))
            alive = self.peak[index]
            for j, source in enumerate(sources):
                size = self.size_in[j, index]
                saves = self.saves_input[j, bits, index]
                held += self.batch * size * (saves & ~kept[source, rows])
                kept[source, rows] |= saves
                if state == 0:  # Inputs of the network are alive throughout, and added at the end.
                    alive = alive - self.examples * size * (source < 0)
                    inputs[source, rows] = np.where(
                        present & (source < 0), size, inputs[source, rows]
                    )
                for other in sources[:j]:
                    alive = alive - self.examples * size * ((source == other) & (source >= 0))
            gradients = np.zeros(n, dtype=np.int64)
            for far, (last, size) in last_read.items():
                if far < position:
                    waits = (last > position) & present
                    read = np.logical_or.reduce([source == at[far] for source in sources])
                    alive = alive + self.examples * size * (waits & ~read)
                    gradients += size * (waits & needs[at[far], rows])
            np.maximum(peak, np.where(present, alive, NOTHING), out=peak)
            alive = self.backward[bits, index] - new[:, position] + again[:, position]
            all_again = (again[:, position] > 0) & (new[:, position] == 0)
            alive = held + np.where(all_again, self.again[bits, index], alive)
            alive += self.batch * gradients
            np.maximum(most, np.where(present, alive, NOTHING), out=most)
            held += self.saved[bits, index] - new[:, position]
            held += self.batch * self.size_out[index] * self.saves_output[bits, index]
            added[:, : len(SUMS)] += self.sums[index]
            added[:, len(SUMS)] += self.train_macs[bits, index]
            depth[position] = 1 + np.max([depth[source, rows] for source in sources], axis=0)
            needs[position] = self.trains[index] | (bits > 0)
            kept[position] = self.saves_output[bits, index] > 0
            output = np.where(present, self.size_out[index], output)
            previous = np.where(present, position, previous)
            at.append(previous)
        added[:, len(SUMS) + 1] = depth[previous, rows]
        added[:, len(SUMS) + 2] = inputs[-self.inputs :].sum(axis=0)
        after = 1 + needs[previous, rows] + 2 * kept[previous, rows]
        return _Run(added, held, most, peak, output, np.where(previous < 0, state, after))

    def _weight_gradients(self, placed: NDArray[np.int32]) -> tuple[Ints, Ints]:
        """As ``count`` has them: gradients first made at each slot, and the largest made again."""
        params = _ending_in_zero([c.params for c in self.counts])
        new, again = params[placed], np.zeros(placed.shape, dtype=np.int64)
        if not self.weights_are_shared:
            return new, again
        placements, rows = self.space.placements, np.arange(len(placed))
        ties = np.array([*(EMPTY if p.tie is None else p.tie for p in placements), EMPTY])
        largest = _ending_in_zero([max(c.parameters.values(), default=0) for c in self.counts])
        made = np.zeros((placed.shape[1], len(placed)), dtype=bool)
        singles = {(i, there): np.zeros(len(placed), dtype=bool) for i, there in self._singles()}
        for slot in reversed(range(placed.shape[1])):
            index = placed[:, slot]
            owner = np.where(ties[index] >= 0, ties[index], slot)
            before = made[owner, rows]
            new[:, slot] *= ~before
            again[:, slot] = largest[index] * before
            made[owner, rows] |= index != EMPTY
            for weight, done in singles.items():
                elements = self._elements_of(weight, slot)[index]
                new[:, slot] -= elements * done
                again[:, slot] = np.maximum(again[:, slot], elements * done)
                done |= elements > 0
        return new, again

    def _singles(self) -> set[tuple[int, str]]:
        """Slot and name of each single weight that later slots share."""
        return {(i, there) for p in self.space.placements for _, i, there in p.shared}

    def _elements_of(self, weight: tuple[int, str], slot: int) -> Ints:
        """Of each placement, if it stands in the slot, the elements of a single weight."""
        owner, name = weight
        result = []
        for placed, c in zip(self.space.placements, self.counts, strict=True):
            names = [own for own, source, there in placed.shared if (source, there) == weight]
            names += [name] if slot == owner and name in c.parameters else []
            result.append(sum(c.parameters[n] for n in names))
        return _ending_in_zero(result)

    def _last_read(self, placed: NDArray[np.int32]) -> dict[int, tuple[Ints, Ints]]:
        """Of each slot that later ones read by number: the last that does, and its elements."""
        result = {}
        for far in self.far:
            last = np.full(len(placed), -1)
            for position, slot in enumerate(self.space.slots):
                if far in (slot.inputs or ()):
                    last = np.where(placed[:, position] != EMPTY, position, last)
            size = np.zeros(len(placed), dtype=np.int64)
            for position in range(far + 1):
                index = placed[:, position]
                size = np.where(index != EMPTY, self.size_out[index], size)
            result[far] = (last, size)
        return result


def _ending_in_zero(values: list[int] | list[bool]) -> Ints:
    return np.array([*values, 0], dtype=np.int64)

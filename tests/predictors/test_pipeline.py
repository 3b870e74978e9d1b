"""Schedules by hand, against closed forms, and against a simulation that knows no lists."""

from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictors.pipeline import (
    BACKWARD_RATIO,
    SCHEDULES,
    Bubble,
    Schedule,
    network_bubble,
    partition,
    pipeline_bubble,
)
from search_spaces import UnknownNameError


class Worker:
    """A device of the other simulation, which decides by what it has done so far.

    gpipe turns to backward passes when all forward ones are done. 1f1b does so when as many are
    under way as devices come after it and itself; interleaved when that many and once more, and a
    round of all devices for each chunk but one, are under way. From there they take turns.
    """

    def __init__(self, device: int, devices: int, micro: int, schedule: Schedule, chunks: int):
        self.device, self.devices, self.chunks, self.total = device, devices, chunks, micro * chunks
        after = devices - 1 - device
        self.most = {
            "gpipe": micro,
            "1f1b": after + 1,
            "interleaved": 2 * after + (chunks - 1) * devices + 1,
        }[schedule]
        # The order of (chunk, micro-batch): in rounds of as many micro-batches as devices.
        rounds = [range(m, min(m + devices, micro)) for m in range(0, micro, devices)]
        self.forward = [(c, i) for r in rounds for c in range(chunks) for i in r]
        self.backward = [(c, i) for r in rounds for c in reversed(range(chunks)) for i in r]
        self.forwards = self.backwards = 0
        self.left = 0
        self.doing: tuple[bool, int, int] | None = None

    def next(self) -> tuple[bool, int, int] | None:
        """Whether it is backward, its stage and its micro-batch."""
        if self.backwards == self.total:
            return None
        under_way = self.forwards - self.backwards
        if self.forwards == self.total or under_way >= self.most:
            chunk, micro = self.backward[self.backwards]
            return True, chunk * self.devices + self.device, micro
        chunk, micro = self.forward[self.forwards]
        return False, chunk * self.devices + self.device, micro


def ticks(
    forward: Sequence[int],
    backward: Sequence[int],
    micro: int,
    schedule: Schedule,
    chunks: int = 1,
) -> int:
    """Whole seconds that an iteration takes, told second by second."""
    stages, devices = len(forward), len(forward) // chunks
    workers = [Worker(d, devices, micro, schedule, chunks) for d in range(devices)]
    over: set[tuple[bool, int, int]] = set()
    now = 0
    while any(worker.backwards < worker.total for worker in workers):
        waiting = True
        while waiting:  # Passes of no length may let others start in the same second.
            waiting = False
            for worker in workers:
                step = worker.doing or worker.next()
                if worker.doing is None and step is not None:
                    back, stage, i = step
                    if back:
                        needs = (True, stage + 1, i) if stage + 1 < stages else (False, stage, i)
                    else:
                        needs = (False, stage - 1, i)
                    if needs in over or needs[1] < 0:
                        worker.doing, worker.left = step, (backward if back else forward)[stage]
                if worker.doing is not None and worker.left == 0:
                    over.add(worker.doing)
                    worker.backwards += worker.doing[0]
                    worker.forwards += not worker.doing[0]
                    worker.doing, waiting = None, True
        if any(worker.backwards < worker.total for worker in workers):
            now += 1
            for worker in workers:
                worker.left -= worker.doing is not None
    return now


class TestByHand:
    def test_two_stages_and_two_micro_batches(self) -> None:
        """Forward 1 and 2 s, backward 3 and 1 s. F1 F2 on the first device until 2; the second does
        F1 from 1 to 3. In 1f1b it goes on with B1 (3 to 4), F2 (4 to 6) and B2 (6 to 7), and the
        first does B1 from 4 to 7 and B2 from 7 to 10. In gpipe it does F2 (3 to 5), B1 (5 to 6) and
        B2 (6 to 7), and the first B1 from 6 to 9 and B2 from 9 to 12."""
        one = pipeline_bubble([1, 2], 2, "1f1b", backward_s=[3, 1])
        assert one == Bubble(10.0, (8.0, 6.0))
        assert one.ideal_s == 7.0
        assert one.fraction == pytest.approx(3 / 7)
        assert one.imbalance == pytest.approx(1 / 7)
        assert pipeline_bubble([1, 2], 2, "gpipe", backward_s=[3, 1]).time_s == 12.0

    def test_two_devices_of_two_chunks(self) -> None:
        """Four stages of 1 s forward and 1 s backward, two micro-batches. Device 1 has stages 1 and
        3, device 2 has 2 and 4. Forward passes: micro-batch 1 from 0 to 4, 2 from 1 to 5, on
        device 1 at 0, 1, 2, 3 and on device 2 at 1, 2, 3, 4. Device 2 fills with one round and its
        own place, so it has done stage 2 twice and stage 4 once when it goes back: stage 4 at 4,
        then forward 2 at 5, and backward 2 at 6 and on stage 2 at 7 and 8. Device 1 waits from 4
        for stage 4's first at 5, does stage 3 at 5 and, after that of stage 4 at 7, at 7, then
        stage 1 after those of stage 2, at 8 and 9. So 10 s, of which each works for 8."""
        bubble = pipeline_bubble([1] * 4, 2, "interleaved", backward_s=[1] * 4, chunks=2)
        assert bubble == Bubble(10.0, (8.0, 8.0))
        assert bubble.fraction == 0.25

    def test_one_device_never_waits(self) -> None:
        for schedule in SCHEDULES:
            bubble = pipeline_bubble([2.0], 3, schedule)
            assert bubble == Bubble(18.0, (18.0,))
            assert bubble.fraction == 0.0

    def test_backward_takes_twice_as_long_unless_it_is_said(self) -> None:
        assert BACKWARD_RATIO == 2.0
        given = pipeline_bubble([1.0, 3.0], 4, backward_s=[2.0, 6.0])
        assert pipeline_bubble([1.0, 3.0], 4) == given


class TestClosedForms:
    @pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0, 3.0])
    @pytest.mark.parametrize("schedule", ["gpipe", "1f1b"])
    @pytest.mark.parametrize(
        ("devices", "micro"), [(1, 1), (2, 1), (4, 8), (4, 3), (8, 64), (5, 7)]
    )
    def test_balanced(self, devices: int, micro: int, schedule: Schedule, ratio: float) -> None:
        bubble = pipeline_bubble(
            [0.3] * devices, micro, schedule, backward_s=[0.3 * ratio] * devices
        )
        assert bubble.fraction == pytest.approx((devices - 1) / micro, abs=1e-9)
        assert bubble.imbalance == pytest.approx(0, abs=1e-9)

    @pytest.mark.parametrize("ratio", [1.0, 2.0])
    @pytest.mark.parametrize("chunks", [1, 2, 3, 4])
    @pytest.mark.parametrize(
        ("devices", "micro"), [(1, 2), (2, 2), (2, 6), (4, 4), (4, 8), (8, 16)]
    )
    def test_balanced_interleaved(
        self, devices: int, micro: int, chunks: int, ratio: float
    ) -> None:
        stages = devices * chunks
        bubble = pipeline_bubble(
            [0.3] * stages, micro, "interleaved", backward_s=[0.3 * ratio] * stages, chunks=chunks
        )
        assert bubble.fraction == pytest.approx((devices - 1) / (micro * chunks), abs=1e-9)

    @pytest.mark.parametrize("slow", range(4))
    @pytest.mark.parametrize("micro", [1, 5, 12])
    def test_gpipe_with_one_slow_stage(self, slow: int, micro: int) -> None:
        """A pipeline of fixed jobs takes the sum over the stages and, for each further job, the
        slowest one; gpipe is two of them."""
        forward = [1.0] * 4
        forward[slow] = 5.0
        bubble = pipeline_bubble(forward, micro, "gpipe", backward_s=[2 * f for f in forward])
        assert bubble.time_s == pytest.approx((8 + 5 * (micro - 1)) * 3)

    def test_many_micro_batches_leave_the_imbalance(self) -> None:
        few, many = (pipeline_bubble([1.0, 2.0, 1.0], n) for n in (3, 3000))
        assert few.imbalance == many.imbalance == pytest.approx(0.5)
        assert few.fraction > 0.8
        assert many.fraction == pytest.approx(0.5, abs=2e-3)


class TestSecondBySecond:
    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_any_times(self, data: st.DataObject) -> None:
        schedule = data.draw(st.sampled_from(SCHEDULES))
        devices = data.draw(st.integers(1, 4))
        chunks = data.draw(st.integers(1, 3)) if schedule == "interleaved" else 1
        micro = data.draw(st.integers(1, 3)) * devices if schedule == "interleaved" else None
        micro = micro or data.draw(st.integers(1, 8))
        times = st.lists(st.integers(0, 5), min_size=devices * chunks, max_size=devices * chunks)
        forward, backward = data.draw(times), data.draw(times)
        if not any(forward) and not any(backward):
            forward[0] = 1
        bubble = pipeline_bubble(forward, micro, schedule, backward_s=backward, chunks=chunks)
        assert bubble.time_s == ticks(forward, backward, micro, schedule, chunks)
        busy = [micro * sum(f + b for f, b in zip(forward, backward, strict=True))]
        assert sum(bubble.busy_s) == sum(busy)
        assert bubble.time_s >= max(bubble.busy_s)
        # Either way through the network, no micro-batch is over before it was everywhere.
        assert bubble.time_s >= sum(forward) + sum(backward)

    def test_zero_bubble_of_the_other_simulation_is_known(self) -> None:
        """That simulation itself, on the hand-worked case above."""
        assert ticks([1, 2], [3, 1], 2, "1f1b") == 10
        assert ticks([1, 2], [3, 1], 2, "gpipe") == 12
        assert ticks([1] * 4, [1] * 4, 2, "interleaved", 2) == 10


def longest_of_best_split(times: Sequence[float], stages: int) -> float:
    """Every split in turn."""
    best = float("inf")
    for cuts in combinations(range(1, len(times)), stages - 1):
        ends = [0, *cuts, len(times)]
        best = min(best, max(sum(times[a:b]) for a, b in pairwise(ends)))
    return best


class TestPartition:
    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(st.one_of(st.integers(0, 9), st.floats(0, 9)), min_size=1, max_size=9),
        st.data(),
    )
    def test_no_split_has_a_shorter_longest_stage(
        self, times: list[float], data: st.DataObject
    ) -> None:
        stages = data.draw(st.integers(1, len(times)))
        sizes = partition(times, stages)
        assert len(sizes) == stages
        assert min(sizes) >= 1
        assert sum(sizes) == len(times)
        rest = list(times)
        longest = 0.0
        for size in sizes:
            longest = max(longest, sum(rest[:size]))
            del rest[:size]
        assert longest == pytest.approx(longest_of_best_split(times, stages), abs=1e-12)

    def test_equal_blocks_are_shared_out(self) -> None:
        assert sorted(partition([1.0] * 12, 4)) == [3, 3, 3, 3]
        assert partition([1.0], 1) == (1,)
        assert partition([0.0, 0.0], 2) == (1, 1)

    def test_hundreds_of_blocks(self) -> None:
        """A stage can be no shorter than the mean, nor need it be longer than that by more than a
        block."""
        times = [1 + (7 * i % 5) / 10 for i in range(400)]
        sizes = partition(times, 32)
        rest, longest = list(times), 0.0
        for size in sizes:
            longest = max(longest, sum(rest[:size]))
            del rest[:size]
        assert sum(times) / 32 <= longest < sum(times) / 32 + 1.4


class TestNetwork:
    def test_blocks_are_split_by_both_passes_and_run_through(self) -> None:
        """Forward alone would split 3 | 1 1 1; with backward passes of 0 3 3 0 the halves are
        3 + 0 + 1 + 3 and 1 + 3 + 1 + 0."""
        bubble = network_bubble([3.0, 1.0, 1.0, 1.0], 2, 6, backward_s=[0.0, 3.0, 3.0, 0.0])
        assert bubble == pipeline_bubble([4.0, 2.0], 6, backward_s=[3.0, 3.0])

    def test_backward_defaults_to_twice(self) -> None:
        bubble = network_bubble([1.0, 1.0, 2.0], 2, 4, "gpipe")
        assert bubble == pipeline_bubble([2.0, 2.0], 4, "gpipe")
        assert bubble.fraction == pytest.approx(1 / 4)

    def test_equal_blocks_reach_the_closed_form_with_chunks(self) -> None:
        bubble = network_bubble([0.01] * 24, 4, 16, "interleaved", chunks=3)
        assert bubble.fraction == pytest.approx(3 / (16 * 3))

    def test_more_stages_than_blocks(self) -> None:
        with pytest.raises(ValueError, match="8 stages for 3 blocks"):
            network_bubble([1.0] * 3, 4, 4, "interleaved", chunks=2)


class TestBadInput:
    @pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
    def test_times(self, value: float) -> None:
        with pytest.raises(ValueError, match="`stage_s` must be numbers, 0 or more"):
            pipeline_bubble([1.0, value], 2)
        with pytest.raises(ValueError, match="`backward_s` must be numbers, 0 or more"):
            pipeline_bubble([1.0, 1.0], 2, backward_s=[1.0, value])
        with pytest.raises(ValueError, match="`times` must be numbers, 0 or more"):
            partition([value, 1.0], 1)
        with pytest.raises(ValueError, match="`block_s` must be numbers, 0 or more"):
            network_bubble([value, 1.0], 1, 1)

    @pytest.mark.parametrize("value", [0, -1, 1.5, True, float("nan")])
    def test_numbers_of_things(self, value: int) -> None:
        with pytest.raises(ValueError, match="`micro_batches` must be a whole number above 0"):
            pipeline_bubble([1.0], value)
        with pytest.raises(ValueError, match="`chunks` must be a whole number above 0"):
            pipeline_bubble([1.0], 1, "interleaved", chunks=value)
        with pytest.raises(ValueError, match="`devices` must be a whole number above 0"):
            network_bubble([1.0], value, 1)
        with pytest.raises(ValueError, match="`stages` must be a whole number above 0"):
            partition([1.0], value)

    def test_what_does_not_fit(self) -> None:
        with pytest.raises(UnknownNameError, match="1f1b"):
            pipeline_bubble([1.0], 1, "1f2b")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="`stage_s` is empty"):
            pipeline_bubble([], 1)
        with pytest.raises(ValueError, match="must not be all 0"):
            pipeline_bubble([0.0, 0.0], 1)
        with pytest.raises(ValueError, match="each of the 2 stages; got 1"):
            pipeline_bubble([1.0, 1.0], 1, backward_s=[1.0])
        with pytest.raises(ValueError, match="each of the 2 blocks; got 1"):
            network_bubble([1.0, 1.0], 1, 1, backward_s=[1.0])
        with pytest.raises(ValueError, match="`chunks` above 1 are for 'interleaved'; got 2"):
            pipeline_bubble([1.0, 1.0], 1, "1f1b", chunks=2)
        with pytest.raises(ValueError, match="3 stages for each device; got 4 in all"):
            pipeline_bubble([1.0] * 4, 4, "interleaved", chunks=3)
        with pytest.raises(ValueError, match="multiple of the devices for 'interleaved'; got 3 on"):
            pipeline_bubble([1.0] * 4, 3, "interleaved", chunks=2)
        with pytest.raises(ValueError, match="got 3 stages for 2 blocks"):
            partition([1.0, 1.0], 3)

"""Pareto sets against brute force and against figures worked by hand."""

import itertools
import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import moocore
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nas.candidates import Candidate
from nas.pareto import ParetoSet, pareto_set
from nas.quality import BITS_PER_BYTE
from nas.redundancy import RedundantGroup
from predictors import Value
from search_spaces import CorruptFileError, UnknownNameError

Make = Callable[..., Candidate]

small = st.integers(0, 4).map(float)
rows = st.lists(st.tuples(small, small, small), min_size=1, max_size=12)
checked = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def build(make: Make, points: list[tuple[float, ...]]) -> list[Candidate]:
    """Candidates by their numbers: the first is the quality."""
    names = ("params", "macs", "flops", "activations", "model_bytes", "train_macs")
    return [
        make(width, point[0], **dict(zip(names, point[1:], strict=False)))
        for width, point in enumerate(points, start=1)
    ]


def dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def brute_force(points: list[tuple[float, ...]]) -> list[int]:
    """Indices of the points that no other dominates."""
    return [
        i for i, point in enumerate(points) if not any(dominates(other, point) for other in points)
    ]


def ids(candidates: Any) -> set[str]:
    return {candidate.id for candidate in candidates}


@checked
@given(points=rows)
def test_members_are_those_that_brute_force_finds(
    make_candidate: Make, points: list[tuple[float, ...]]
) -> None:
    candidates = build(make_candidate, points)
    found = pareto_set(candidates)
    assert ids(found.members) == {candidates[i].id for i in brute_force(points)}
    assert len(found.members) == len(ids(found.members))


@checked
@given(points=rows, data=st.data())
def test_order_and_repeats_change_nothing(
    make_candidate: Make, points: list[tuple[float, ...]], data: st.DataObject
) -> None:
    candidates = build(make_candidate, points)
    repeats = data.draw(st.lists(st.sampled_from(candidates), max_size=4))
    shuffled = data.draw(st.permutations(candidates + repeats))
    assert pareto_set(shuffled) == pareto_set(candidates)


@checked
@given(points=rows, data=st.data())
def test_infeasible_candidates_count_for_nothing_but_the_evaluated(
    make_candidate: Make, points: list[tuple[float, ...]], data: st.DataObject
) -> None:
    candidates = build(make_candidate, points)
    width = len(points)
    infeasible = [
        make_candidate(width + 1 + i, 0.0, feasible=False, params=0.0, macs=0.0)
        for i in range(data.draw(st.integers(1, 3)))
    ]
    alone, both = pareto_set(candidates), pareto_set(candidates + infeasible)
    assert both.members == alone.members
    assert both.reference_point == alone.reference_point
    assert both.ideal_point == alone.ideal_point
    assert both.hypervolume == alone.hypervolume
    assert (both.evaluated, both.feasible) == (width + len(infeasible), width)


@checked
@given(points=rows)
def test_what_is_maximised_counts_the_other_way(
    make_candidate: Make, points: list[tuple[float, ...]]
) -> None:
    names = ("throughput_per_s@local", "macs")
    candidates = [
        make_candidate(width, point[0], **dict(zip(names, point[1:], strict=True)))
        for width, point in enumerate(points, start=1)
    ]
    found = pareto_set(
        [
            replace(c, indicators=c.indicators | {"params": Value(1.0, 1.0, 1.0, "exact")})
            for c in candidates
        ]
    )
    turned = [(quality, -rate, macs) for quality, rate, macs in points]
    assert ids(found.members) == {candidates[i].id for i in brute_force(turned)}


def test_the_box_of_what_is_maximised_by_hand(make_candidate: Make) -> None:
    # The same as with costs of 30, 10, 20, 40 (below), as yields of 100 less each.
    points = [(0.1, 70.0), (0.3, 90.0), (0.5, 80.0), (0.3, 60.0)]
    candidates = [
        make_candidate(width, quality, params=7.0, **{"throughput_per_s@local": rate})
        for width, (quality, rate) in enumerate(points, start=1)
    ]
    found = pareto_set(candidates)
    assert [member.quality.value for member in found.members] == [0.1, 0.3]
    # The best is the largest; a tenth of the range of 30 lies below the worst. Nothing is negated.
    assert found.ideal_point["throughput_per_s@local"] == 90.0
    assert found.reference_point["throughput_per_s@local"] == pytest.approx(57.0)
    area = 1.1 * (1.1 - 2 / 3) + 0.6 * (2 / 3)
    assert found.hypervolume == pytest.approx(area / 1.1**2)
    # Both members are as far from the best of each, in their own ranges: the first is taken.
    assert found.pick("knee")[0].quality.value == 0.1


def test_multiples_and_quantiles_weigh_nothing(make_candidate: Make) -> None:
    points = [(0.1, 30.0), (0.3, 10.0), (0.2, 25.0), (0.5, 40.0)]
    plain, repeated = [], []
    for width, (quality, latency) in enumerate(points, start=1):
        candidate = make_candidate(width, quality, params=7.0, **{"latency_s@local": latency})
        plain.append(candidate)
        more = {
            "cost_usd@local": Value(3e-7 * latency, None, None, "table"),
            "latency_p99_s@local": Value(latency * (2 + width % 2), None, None, "table"),
        }
        repeated.append(replace(candidate, indicators={**candidate.indicators, **more}))
    one, two = pareto_set(plain), pareto_set(repeated)
    assert two.hypervolume == pytest.approx(one.hypervolume)
    assert two.hypervolume_method == one.hypervolume_method == "exact"
    assert two.pick("knee")[0].id == one.pick("knee")[0].id


def test_two_networks_of_equal_cost_are_both_members(make_candidate: Make) -> None:
    candidates = build(make_candidate, [(0.1, 5.0), (0.1, 5.0), (0.2, 5.0)])
    assert ids(pareto_set(candidates).members) == ids(candidates[:2])


def test_members_stand_by_quality_then_params(make_candidate: Make) -> None:
    points = [(0.3, 1.0, 9.0), (0.1, 9.0, 1.0), (0.2, 6.0, 5.0), (0.2, 5.0, 6.0)]
    found = pareto_set(build(make_candidate, points))
    order = [(m.quality.value, m.indicators["params"].value) for m in found.members]
    assert order == [(0.1, 9.0), (0.2, 5.0), (0.2, 6.0), (0.3, 1.0)]


def test_reference_point_hypervolume_and_counts_by_hand(make_candidate: Make) -> None:
    # Quality and macs vary, params do not. Members: (0.1, 30), (0.3, 10); (0.5, 20) is beaten by
    # the second, (0.3, 40) by the first.
    points = [(0.1, 7.0, 30.0), (0.3, 7.0, 10.0), (0.5, 7.0, 20.0), (0.3, 7.0, 40.0)]
    found = pareto_set(build(make_candidate, points))
    assert [member.quality.value for member in found.members] == [0.1, 0.3]
    assert found.ideal_point == {"quality": 0.1, "params": 7.0, "macs": 10.0}
    # Worst plus a tenth of the range: 0.5 + 0.04, 7 + 0, 40 + 3.
    assert found.reference_point == pytest.approx({"quality": 0.54, "params": 7.0, "macs": 43.0})
    # Scaled to the ranges 0.4 and 30: (0, 2/3) and (1/2, 0), reference (1.1, 1.1). The first
    # dominates 1.1 x (1.1 - 2/3), the second a further (1.1 - 1/2) x 2/3.
    area = 1.1 * (1.1 - 2 / 3) + 0.6 * (2 / 3)
    assert found.hypervolume == pytest.approx(area / 1.1**2)
    assert found.hypervolume_method == "exact"
    assert (found.evaluated, found.feasible) == (4, 4)


def test_one_candidate_has_no_range_and_no_volume(make_candidate: Make) -> None:
    found = pareto_set(build(make_candidate, [(0.5, 3.0)]))
    assert found.reference_point == found.ideal_point == {"quality": 0.5, "params": 3.0}
    assert (found.hypervolume, found.hypervolume_method) == (0.0, "exact")


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_the_best_in_everything_dominates_the_whole_box(make_candidate: Make, columns: int) -> None:
    points = [(0.0, *[0.0] * columns), (1.0, *[1.0] * columns)]
    found = pareto_set(build(make_candidate, points))
    assert len(found.members) == 1
    assert found.hypervolume == pytest.approx(1.0)


@pytest.mark.parametrize(("columns", "method"), [(5, "exact"), (6, "moocore.hv_approx")])
def test_the_method_of_the_hypervolume_is_stated(
    make_candidate: Make, columns: int, method: str
) -> None:
    # Point i is 0 in column i and 1 in the others, so the values are scaled already. What the
    # points dominate is summed over the cells that [0, 1) and [1, 1.1] make of each column.
    n = columns + 1
    points = [tuple(0.0 if i == j else 1.0 for j in range(n)) for i in range(n)]
    found = pareto_set(build(make_candidate, points))
    assert found.hypervolume_method.startswith(method)
    share = 0.0
    for cell in itertools.product((False, True), repeat=n):  # True: the value is at least 1.
        if cell.count(False) <= 1:  # Point i dominates where all columns but i are at least 1.
            share += math.prod(0.1 if high else 1.0 for high in cell)
    expected = share / 1.1**n
    tolerance = 1e-9 if method == "exact" else 0.02
    assert found.hypervolume == pytest.approx(expected, rel=tolerance)


def test_the_method_follows_the_columns_that_vary(make_candidate: Make) -> None:
    points = [(0.1, 7.0, 1.0, 1.0, 1.0, 1.0, 3.0), (0.2, 6.0, 1.0, 1.0, 1.0, 1.0, 3.0)]
    found = pareto_set(build(make_candidate, points))
    assert len(found.reference_point) == 7
    assert found.hypervolume_method == "exact"


def test_the_knee_by_hand(make_candidate: Make) -> None:
    # Scaled: (0, 1), (1, 0), (0.25, 0.5), (0.5, 0.3). Distances from (0, 0): 1, 1, sqrt(0.3125) =
    # 0.559, sqrt(0.34) = 0.583.
    points = [(0.0, 100.0), (0.4, 0.0), (0.1, 50.0), (0.2, 30.0)]
    found = pareto_set(build(make_candidate, points))
    (knee,) = found.pick("knee")
    assert knee.quality.value == 0.1


def test_the_knee_does_not_depend_on_units(make_candidate: Make) -> None:
    points = [(0.0, 100.0), (0.4, 0.0), (0.1, 50.0), (0.2, 30.0)]
    scaled = [(quality, cost * 1e9) for quality, cost in points]
    first, second = (
        pareto_set(build(make_candidate, p)).pick("knee")[0].quality.value for p in (points, scaled)
    )
    assert first == second


def test_pick_by_id_and_by_its_beginning(make_candidate: Make) -> None:
    found = pareto_set(build(make_candidate, [(0.1 * i, 9.0 - i) for i in range(8)]))
    assert found.pick("all") == found.members
    for member in found.members:
        assert found.pick(member.id) == (member,)
        others = [m.id for m in found.members if m is not member]
        length = next(
            n for n in range(1, 13) if not any(o.startswith(member.id[:n]) for o in others)
        )
        assert found.pick(member.id[:length]) == (member,)


def test_pick_of_an_unknown_or_ambiguous_name_lists_the_members(make_candidate: Make) -> None:
    # By the pigeonhole principle two of seventeen ids begin with the same hexadecimal digit.
    found = pareto_set(build(make_candidate, [(0.01 * i, 99.0 - i) for i in range(17)]))
    digits = [member.id[0] for member in found.members]
    shared = next(digit for digit in digits if digits.count(digit) > 1)
    for name in (shared, "zzz", ""):
        with pytest.raises(UnknownNameError) as caught:
            found.pick(name)
        assert {member.id for member in found.members} <= set(caught.value.known)


def test_pick_of_nothing_from_a_set_of_one_is_refused(make_candidate: Make) -> None:
    found = pareto_set(build(make_candidate, [(0.1, 1.0)]))
    with pytest.raises(UnknownNameError):
        found.pick("")


def test_an_empty_set(make_candidate: Make) -> None:
    for candidates in ([], [make_candidate(1, 0.1, feasible=False, params=1.0)]):
        found = pareto_set(candidates)
        assert (found.members, found.hypervolume, found.feasible) == ((), 0.0, 0)
        assert found.evaluated == len(candidates)
        assert found.pick("all") == ()
        with pytest.raises(UnknownNameError) as caught:
            found.pick("knee")
        assert "Did you mean" not in str(caught.value)
        assert ParetoSet.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("column", [0, 1])
def test_a_value_that_is_no_number_is_refused(
    make_candidate: Make, bad: float, column: int
) -> None:
    point = [0.1, 1.0]
    point[column] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        pareto_set(build(make_candidate, [(0.2, 2.0), tuple(point)]))


@checked
@given(points=rows)
def test_a_set_round_trips_through_json(
    make_candidate: Make, points: list[tuple[float, ...]]
) -> None:
    found = pareto_set(build(make_candidate, points))
    assert ParetoSet.from_json(json.loads(json.dumps(found.to_json()))) == found


def _without(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda data: {k: v for k, v in data.items() if k != key}


def _first_candidate(change: dict[str, Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda data: data | {"candidates": [data["candidates"][0] | change]}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: [],
        lambda data: None,
        lambda data: {},
        lambda data: data | {"candidates": None},
        lambda data: data | {"candidates": [3]},
        lambda data: data | {"candidates": [{}]},
        _without("hypervolume"),
        _without("reference_point"),
        _first_candidate({"architecture": {"space": "x"}}),
        _first_candidate({"indicators": []}),
        _first_candidate({"measured": None}),
        _first_candidate({"indicators": {"macs": {"value": 1.0}}}),
        _first_candidate({"quality": 0.3}),
        _first_candidate({"quality": {"name": "x", "value": 1.0, "direction": "up"}}),
    ],
)
def test_other_json_is_a_corrupt_file(
    make_candidate: Make, damage: Callable[[dict[str, Any]], Any]
) -> None:
    data = pareto_set(build(make_candidate, [(0.1, 1.0)])).to_json()
    with pytest.raises(CorruptFileError, match=r"some\.json"):
        ParetoSet.from_json(damage(data), "some.json")


def test_an_indicator_that_equals_another_weighs_nothing(make_candidate: Make) -> None:
    points = [(0.1, 9.0, 2.0), (0.2, 4.0, 1.0), (0.4, 3.0, 5.0)]
    plain = pareto_set(
        [make_candidate(i, q, params=p, macs=m) for i, (q, p, m) in enumerate(points, 1)]
    )
    repeated = pareto_set(
        [
            make_candidate(i, q, params=p, active_params=p, macs=m, kv_cache_bytes=0.0)
            for i, (q, p, m) in enumerate(points, 1)
        ]
    )
    assert [m.id for m in repeated.members] == [m.id for m in plain.members]
    assert repeated.hypervolume == pytest.approx(plain.hypervolume)
    assert repeated.pick("knee")[0].id == plain.pick("knee")[0].id


def test_candidates_of_two_qualities_are_no_set(make_candidate: Make) -> None:
    first, second = build(make_candidate, [(0.1, 1.0), (0.2, 2.0)])
    other = replace(second, quality=BITS_PER_BYTE.quality("validation", 0.2))
    with pytest.raises(ValueError, match="validation_bits_per_byte, validation_error"):
        pareto_set([first, other])


def test_the_finished_runs_set_is_that_of_brute_force(finished: Any) -> None:
    members = finished.outcome.pareto.members
    points = [
        (member.quality.value, *(value.value for value in member.indicators.values()))
        for member in members
    ]
    assert brute_force(points) == list(range(len(points)))
    assert np.isfinite(points).all()


def test_costs_of_generation_do_not_decide_between_networks_of_which_some_generate_none(
    make_candidate: Make,
) -> None:
    """A network that generates no text has 0 there, which must not beat one that does."""
    generates = make_candidate(1, 0.5, params=10.0, decode_macs=7.0)
    silent = make_candidate(2, 0.5, params=11.0, decode_macs=0.0)
    other = make_candidate(3, 0.5, params=11.0, decode_macs=5.0)
    assert ids(pareto_set([generates, silent]).members) == {generates.id}
    assert "decode_macs" not in pareto_set([generates, silent]).reference_point
    assert ids(pareto_set([generates, other]).members) == {generates.id, other.id}


def test_the_stated_error_of_the_approximation_holds(make_candidate: Make) -> None:
    # Seven columns, 40 points on a sphere: moocore can do it exactly too.
    rng = np.random.default_rng(0)
    raw = rng.random((40, 7))
    points = 1 - raw / np.linalg.norm(raw, axis=1, keepdims=True)
    names = ("params", "macs", "flops", "activations", "model_bytes", "train_macs")
    found = pareto_set(
        [
            make_candidate(width, row[0], **dict(zip(names, row[1:], strict=True)))
            for width, row in enumerate(points.tolist(), start=1)
        ]
    )
    scaled = (points - points.min(axis=0)) / np.ptp(points, axis=0)
    exact = moocore.hypervolume(scaled, ref=np.full(7, 1.1)) / 1.1**7
    assert found.hypervolume_method.startswith("moocore.hv_approx")
    assert 0 < found.hypervolume_error < 0.01 * exact
    assert abs(found.hypervolume - exact) <= found.hypervolume_error


def test_exact_values_have_no_error_and_no_probabilities(make_candidate: Make) -> None:
    found = pareto_set(build(make_candidate, [(0.1, 2.0), (0.2, 1.0)]))
    assert found.hypervolume_error == 0.0
    assert found.probabilities == {}


def test_the_probability_of_members_by_hand(make_candidate: Make) -> None:
    # Equal macs, so the better quality is the set. Their difference has a standard error of 0.05,
    # and is 0.05: better with probability Phi(1) = 0.841.
    candidates = build(make_candidate, [(0.10, 1.0), (0.15, 1.0), (0.9, 1.0)])
    errors = dict(zip([c.id for c in candidates], (0.03, 0.04, 0.0), strict=True))
    found = pareto_set(candidates, quality_errors=errors)
    assert list(found.probabilities) == [candidates[0].id]
    assert found.probabilities[candidates[0].id] == pytest.approx(0.841, abs=0.04)


@checked
@given(points=rows)
def test_each_member_has_a_representative(
    make_candidate: Make, points: list[tuple[float, ...]]
) -> None:
    found = pareto_set(build(make_candidate, points))
    by_id = {member.id: member for member in found.members}
    assert set(found.representative) <= set(by_id)
    assert found.pick("representative") == tuple(
        m for m in found.members if m.id in found.representative
    )
    for member in found.members:
        assert any(_close(by_id[key], member, found.resolutions) for key in found.representative)


def _close(one: Candidate, member: Candidate, sizes: Any) -> bool:
    return all(
        one.quality.value <= member.quality.value + size + 1e-12
        if name == "quality"
        else one.indicators[name].value <= member.indicators[name].value * (1 + size) + 1e-12
        for name, size in sizes.items()
    )


def test_representatives_by_hand(make_candidate: Make) -> None:
    # 103 is within 5 % of 100 and 0.1 within 0.0075 (5 % of the median of quality, 0.15) of itself.
    points = [(0.1, 103.0), (0.15, 100.0), (0.2, 50.0)]
    found = pareto_set(build(make_candidate, points))
    assert [m.quality.value for m in found.pick("representative")] == [0.1, 0.2]
    assert found.resolutions == pytest.approx({"quality": 0.0075, "params": 0.05})


def test_one_indicator_of_each_redundant_group_chooses(make_candidate: Make) -> None:
    groups = (RedundantGroup(("macs", "flops"), 0.95),)
    points = [(0.1, 1.0, 100.0, 250.0), (0.1, 1.0, 120.0, 200.0), (0.1, 2.0, 50.0, 300.0)]
    candidates = build(make_candidate, points)
    alone, grouped = pareto_set(candidates), pareto_set(candidates, redundant=groups)
    assert ids(alone.members) == ids(grouped.members) == ids(candidates)
    assert "flops" not in grouped.resolutions
    assert len(alone.representative) == 3
    assert len(grouped.representative) == 2
    assert ParetoSet.from_json(json.loads(json.dumps(grouped.to_json()))) == grouped


def test_a_set_of_an_earlier_version_is_read(make_candidate: Make) -> None:
    found = pareto_set(build(make_candidate, [(0.1, 2.0), (0.2, 1.0)]))
    data = found.to_json()
    for key in ("redundant", "representative", "resolutions", "probabilities", "hypervolume_error"):
        del data[key]
    read = ParetoSet.from_json(data)
    assert read.members == found.members
    assert (read.representative, read.redundant) == ((), ())

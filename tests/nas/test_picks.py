"""Members by what is wanted of them."""

from collections.abc import Callable

import pytest

from nas.candidates import Candidate
from nas.errors import ExperimentError, NothingFeasibleError, exit_status
from nas.pareto import ParetoSet, pareto_set
from search_spaces import UnknownNameError

RATE = "throughput_per_s@local"


@pytest.fixture
def found(make_candidate: Callable[..., Candidate]) -> ParetoSet:
    rows = [(0.1, 90.0, 3.0, 10.0), (0.2, 60.0, 5.0, 30.0), (0.3, 30.0, 4.0, 80.0)]
    return pareto_set(
        [
            make_candidate(
                width, q, params=1.0, macs=macs, peak_memory_bytes=memory, **{RATE: rate}
            )
            for width, (q, macs, memory, rate) in enumerate(rows, start=1)
        ]
    )


def qualities(members: tuple[Candidate, ...]) -> list[float]:
    return [member.quality.value for member in members]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", [0.1, 0.2, 0.3]),
        ("least:quality", [0.1]),
        ("least:macs", [0.3]),
        ("least:peak_memory_bytes", [0.1]),
        (f"most:{RATE}", [0.3]),
        ("least:quality,macs<=60", [0.2]),
        ("macs<=60,least:quality", [0.2]),
        ("macs<=60", [0.2, 0.3]),
        (" macs <= 60 , quality<=0.25 ", [0.2]),
        (f"least:peak_memory_bytes,{RATE}>=20", [0.3]),
        ("least:peak_memory_kb", [0.1]),
        ("peak_memory_kb<=0.0045,macs<=60", [0.3]),
        (f"most:{RATE},quality<=0.2", [0.2]),
        ("throughput_per_ms@local>=0.05", [0.3]),
        ("knee,macs<=30", [0.3]),
    ],
)
def test_picks_by_hand(found: ParetoSet, text: str, expected: list[float]) -> None:
    assert qualities(found.pick(text)) == expected


def test_an_id_within_limits(found: ParetoSet) -> None:
    second = found.members[1]
    assert found.pick(f"{second.id},macs<=60") == (second,)
    with pytest.raises(UnknownNameError):
        found.pick(f"{second.id},macs<=30")


def test_representatives_are_picked(found: ParetoSet) -> None:
    picked = found.pick("representative")
    assert tuple(member.id for member in picked) == found.representative


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("knee,all", "takes one of"),
        ("most:macs", "write least:macs"),
        (f"least:{RATE}", f"write most:{RATE}"),
        ("macs>=5", "write macs<="),
        ("macs<=0", "above 0"),
        ("macs<=x", "NAME<=NUMBER"),
        ("peak_memory_ms<=1", "does not fit"),
    ],
)
def test_picks_that_cannot_be(found: ParetoSet, text: str, said: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        found.pick(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text", ["least:foo", "foo<=3", "least:", "flops<=3", "least:energy_j@local"]
)
def test_an_unknown_name_lists_the_known_ones(found: ParetoSet, text: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        found.pick(text)
    assert {"quality", "macs", RATE} <= set(caught.value.known)


def test_where_none_keeps_to_the_limits_the_nearest_are_named(found: ParetoSet) -> None:
    with pytest.raises(NothingFeasibleError) as caught:
        found.pick("least:quality,macs<=10")
    # 30 misses 10 by 200 %, 60 by 500 %.
    ids = [member.id for member in reversed(found.members)]
    assert [line.split(":")[0].strip() for line in caught.value.nearest] == ids
    assert "+200.0%" in caught.value.nearest[0]
    assert exit_status(caught.value) == 4


def test_limits_on_an_empty_set(found: ParetoSet) -> None:
    with pytest.raises(NothingFeasibleError):
        pareto_set([]).pick("macs<=10")
    with pytest.raises(UnknownNameError):
        pareto_set([]).pick("least:macs")

"""Which arms there are, what each goes by, and what is no arm."""

import pytest

from nas.arms import NULL_ARMS, check_arms, compared_indicators, make_arms
from nas.errors import ExperimentError
from nas.redundancy import RedundantGroup
from search_spaces import UnknownNameError

NAMES = ("params", "macs", "latency_s@local")
ALIKE = (RedundantGroup(("params", "macs"), 0.95),)


def test_without_names_each_objective_all_and_every_null_arm_are_compared() -> None:
    arms = make_arms((), ("macs", "latency_s@local"), NAMES, ALIKE)
    assert [arm.name for arm in arms] == ["macs", "latency_s@local", "all", *NULL_ARMS]
    assert [arm.name for arm in arms if arm.null] == list(NULL_ARMS)


def test_each_arm_goes_by_its_own_indicators() -> None:
    arms = make_arms(("params", "all", *NULL_ARMS), (), NAMES, ALIKE)
    assert {arm.name: arm.objectives for arm in arms} == {
        "params": ("params",),
        "all": NAMES,
        "random": (),
        "quality": (),
        "weighted-product": (),
        "representative": ("params", "latency_s@local"),
    }


def test_an_arm_that_would_be_another_under_its_name_is_not_added_unasked() -> None:
    """Where nothing is redundant the representatives are all; where all is, they are one."""
    names = [arm.name for arm in make_arms((), ("macs",), NAMES, ())]
    assert "all" in names
    assert "representative" not in names
    one = (RedundantGroup(NAMES, 0.95),)
    assert "representative" not in [a.name for a in make_arms((), ("params",), NAMES, one)]
    assert "representative" in [a.name for a in make_arms((), ("macs",), NAMES, one)]
    assert make_arms(("representative",), (), NAMES, ())[0].objectives == NAMES


def test_indicators_come_from_objectives_arms_and_what_else_is_asked_for_each_once() -> None:
    found = compared_indicators(("params", *NULL_ARMS, "all"), ("macs",), ("macs", "flops"))
    assert found == ("macs", "params", "flops")


def test_what_is_no_arm_is_named_with_all_that_are() -> None:
    check_arms((*NAMES, "all", *NULL_ARMS), NAMES)
    with pytest.raises(UnknownNameError, match="Unknown arm 'latency_s'") as raised:
        check_arms(["latency_s"], NAMES)
    assert set(raised.value.known) == {*NAMES, "all", *NULL_ARMS}


def test_an_indicator_cannot_have_the_name_of_another_arm() -> None:
    with pytest.raises(ExperimentError, match="called `all`"):
        check_arms((), ("macs", "all"))

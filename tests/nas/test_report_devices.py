"""Boxes of devices, against the profiles that are shipped."""

import pytest

from hw_profiles.profile import HardwareProfile, shipped_profiles
from nas.report_devices import device_facts
from nas.report_document import Facts

ONE, MANY, MORE = (f"nvidia-h200:cudagraph-fp16-b{batch}" for batch in (1, 64, 256))


@pytest.fixture(scope="module")
def shipped() -> dict[str, HardwareProfile]:
    folder = shipped_profiles()["nvidia-h200"]
    return {"nvidia-h200": HardwareProfile.load(folder)}


def lines(box: Facts) -> list[str]:
    """What a box says of tables."""
    said = box.items["tables"]
    return [said] if isinstance(said, str) else list(said)


def test_only_settings_that_an_indicator_is_of_have_a_box(
    shipped: dict[str, HardwareProfile],
) -> None:
    names = ("params", f"latency_s@{ONE}", f"latency_p90_s@{ONE}", f"energy_j@{MANY}")
    assert {"cudagraph-fp16-b256"} < set(shipped["nvidia-h200"].settings)
    boxes = device_facts(shipped, names, "")
    assert [box.title for box in boxes] == [f"Device: {ONE}", f"Device: {MANY}"]
    assert {line.split(" ")[0] for line in lines(boxes[0])} == {"latency_s"}
    assert {line.split(" ")[0] for line in lines(boxes[1])} == {"energy_j"}
    assert "batch 64" in boxes[1].items["setting"]


def test_throughput_is_of_every_batch(shipped: dict[str, HardwareProfile]) -> None:
    (box,) = device_facts(shipped, (f"throughput_per_s@{ONE}",), "")
    assert any(", batch 256)" in line for line in lines(box))
    assert any(", batch 64)" in line for line in lines(box))
    (alone,) = device_facts(shipped, (f"latency_s@{ONE}",), "")
    assert not any(", batch " in line.split(")")[0] for line in lines(alone))


def test_a_place_without_a_setting_is_the_first_of_its_profile(
    shipped: dict[str, HardwareProfile],
) -> None:
    (box,) = device_facts(shipped, ("latency_s@nvidia-h200",), "")
    first = shipped["nvidia-h200"].setting()
    (named,) = device_facts(shipped, (f"latency_s@nvidia-h200:{first}",), "")
    assert box.items == named.items


def test_what_is_of_no_device_has_no_box(shipped: dict[str, HardwareProfile]) -> None:
    assert device_facts(shipped, ("params", "macs"), "") == []
    assert device_facts({}, ("latency_s@gone",), "") == []

"""Which gauge a quantity is measured with."""

from functools import partial
from typing import Any

import pytest

from hw_profiles import make_runtime
from hw_profiles.errors import UnavailableError
from hw_profiles.gauge import EnergyGauge, Stopwatch, gauge_of
from hw_profiles.meter import Unavailable
from hw_profiles.quantity import QUANTITIES


@pytest.mark.parametrize("name", ["latency_s", "decode_step_s", "train_step_s"])
def test_seconds_are_measured_by_the_clock(name: str) -> None:
    assert gauge_of(QUANTITIES[name], make_runtime("onnxruntime")) is Stopwatch


@pytest.mark.parametrize("name", ["energy_j", "train_energy_j"])
def test_joules_are_measured_by_the_devices_counter(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    meter = object()

    def find(kind: str, **given: Any) -> Any:
        asked.append((kind, given))
        return meter

    monkeypatch.setattr("hw_profiles.gauge.find_meter", find)
    gauge = gauge_of(QUANTITIES[name], make_runtime("onnxruntime"))
    assert isinstance(gauge, partial)
    assert gauge.func is EnergyGauge
    assert gauge.keywords == {"meter": meter}
    assert asked == [("cpu", {"device": 0})]


def test_without_a_counter_joules_are_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "hw_profiles.gauge.find_meter", lambda *_, **__: Unavailable("It is locked.")
    )
    with pytest.raises(UnavailableError, match=r"`energy_j` cannot be measured here: It is locked"):
        gauge_of(QUANTITIES["energy_j"], make_runtime("onnxruntime"))

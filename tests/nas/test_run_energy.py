"""Energy of a run, against counters that are written by hand."""

from pathlib import Path
from typing import Any

import pytest

from hw_profiles import local_device
from hw_profiles.files import read_json
from hw_profiles.meter import RaplMeter, Unavailable
from nas import run_energy
from nas.run_energy import RunEnergy, metered, run_energies
from nas.run_folder import RunFolder
from nas.table_experiment import TableExperiment


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "nets.csv").write_text("name,error,macs\na,0.1,5\nb,0.2,3\n")
    table = {"file": str(tmp_path / "nets.csv"), "quality": "error", "costs": ["macs"]}
    experiment = TableExperiment.from_data(
        {"name": "nets", "table": table | {"config": ["name"]}, "search": {"trials": 2}}
    )
    return RunFolder.create(tmp_path / "run", experiment, [], local_device())


@pytest.fixture
def counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package's counter in microjoules, which wraps at 1 kJ."""
    zone = tmp_path / "powercap" / "intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    (zone / "max_energy_range_uj").write_text("1000000000")
    (zone / "energy_uj").write_text("900000000")
    meter = RaplMeter(zone.parent)
    monkeypatch.setattr(run_energy, "find_meter", lambda kind: meter)
    return zone / "energy_uj"


def energies(folder: RunFolder) -> tuple[RunEnergy, ...]:
    return run_energies(read_json(RunFolder.open(folder.path).manifest))


def test_joules_are_those_between_the_ends(folder: RunFolder, counter: Path) -> None:
    assert energies(folder) == ()
    with metered(folder):
        counter.write_text("940000000")
    (found,) = energies(folder)
    assert found.joules == 40.0
    assert "RAPL" in found.source
    assert "whichever process" in found.source


def test_a_counter_is_read_often_enough_to_wrap_twice(
    folder: RunFolder, counter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = iter(["500000000", "100000000", "700000000"])  # +600 J and +600 J, wrapped; +600 J.

    class Waits:
        """In place of the clock: the counter moves on with every wait."""

        def wait(self, seconds: float) -> bool:
            step = next(steps, None)
            if step is not None:
                counter.write_text(step)
            return step is None

        def set(self) -> None:
            pass

    monkeypatch.setattr(run_energy, "Event", Waits)
    with metered(folder):
        pass
    assert energies(folder)[0].joules == pytest.approx(1800.0)


def test_each_opening_has_its_own_also_if_it_ends_early(folder: RunFolder, counter: Path) -> None:
    def stopped() -> None:
        with metered(folder):
            counter.write_text("910000000")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    folder.start(folder.table_experiment())
    with metered(folder):
        counter.write_text("930000000")
    folder.finish("complete")
    assert [item.joules for item in energies(folder)] == [10.0, 20.0]


def test_a_lost_counter_gives_a_reason_and_no_number(folder: RunFolder, counter: Path) -> None:
    with metered(folder):
        counter.unlink()
    (found,) = energies(folder)
    assert found.joules is None
    assert "cannot be read" in found.source


def test_a_counter_that_is_lost_at_once_stops_nothing(folder: RunFolder, counter: Path) -> None:
    counter.unlink()
    worked = False
    with metered(folder):
        worked = True
    assert worked
    (found,) = energies(folder)
    assert found.joules is None
    assert "cannot be read" in found.source


def test_without_a_counter_the_reason_is_kept(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_energy, "find_meter", lambda kind: Unavailable("no zone"))
    with metered(folder):
        pass
    assert energies(folder) == (RunEnergy(None, "no zone"),)


@pytest.mark.parametrize("joules", [-1.0, float("nan")])
def test_an_energy_is_never_below_nothing(joules: Any) -> None:
    with pytest.raises(ValueError, match="`joules` must be at least 0"):
        RunEnergy(joules, "made up")

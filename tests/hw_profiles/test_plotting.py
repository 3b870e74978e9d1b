"""The picture of a certificate."""

import builtins
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hw_profiles import BlockTable, Certificate, Device, Entry, Measured, Setting
from hw_profiles.errors import UnavailableError
from hw_profiles.plotting import plot_certificate

ENTRY = Entry(1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 9)
DEVICE = Device("Fake 1", "x86_64", cores=4, memory_bytes=8 << 30, features="abc")


@pytest.fixture
def make() -> Callable[..., BlockTable]:
    """A table with a certificate of some networks, each ten microseconds longer than the last."""

    def build(families: dict[str, int], quantity: str = "latency_s", batch: int = 1) -> BlockTable:
        measured = tuple(
            Measured(f"{family}{i}", family, 1.03 * t, (t, t), (t, t, t), 20)
            for family, n in families.items()
            for i in range(n)
            for t in [1e-3 + 1e-5 * i]
        )
        return BlockTable(
            quantity=quantity,
            device=DEVICE,
            setting=Setting("fake", "1.0", batch=batch),
            space="+".join(families),
            digest="",
            overhead=ENTRY,
            entries={},
            conditions={"statistic": "p10 of runs"},
            certificate=Certificate("", "", measured) if measured else None,
        )

    return build


def texts(path: Path) -> set[str]:
    """What is written in an SVG; matplotlib draws letters, and names the text in a comment."""
    return set(re.findall(r"<!-- (.*?) -->", path.read_text()))


def test_an_svg_names_device_statistic_units_numbers_and_families(
    make: Callable[..., BlockTable], tmp_path: Path
) -> None:
    path = tmp_path / "new" / "plot.svg"
    plot_certificate([make({"vit": 30}), make({"mbconv": 12})], path)
    said = texts(path)
    assert "Fake 1, fake-fp32-b1-t1: 42 networks that the table was not fitted to" in said
    assert "statistic: p10 of runs" in said
    assert {"measured latency (ms)", "predicted latency (ms)"} <= said
    assert {"±5 %", "±10 %"} <= said
    assert "vit (n = 30): 100.0 % within ±10 %, 100.0 % within ±5 %" in said
    assert "mbconv (n = 12): 100.0 % within ±10 %, 100.0 % within ±5 %" in said


def test_every_network_is_drawn_in_both_halves(
    make: Callable[..., BlockTable], tmp_path: Path
) -> None:
    path = tmp_path / "plot.svg"
    plot_certificate([make({"vit": 7})], path)
    drawn = re.findall(r'<g id="PathCollection_\d+">(.*?)\n   </g>', path.read_text(), re.DOTALL)
    assert [item.count("<use ") for item in drawn] == [7, 7, 1]  # The last is in the legend.


def test_joules_are_joules(make: Callable[..., BlockTable], tmp_path: Path) -> None:
    plot_certificate([make({"vit": 3}, "energy_j")], tmp_path / "plot.svg")
    assert "measured energy of an inference (mJ)" in texts(tmp_path / "plot.svg")


def test_the_same_certificate_gives_the_same_file(
    make: Callable[..., BlockTable], tmp_path: Path
) -> None:
    for name in ("a.svg", "b.svg", "a.png"):
        plot_certificate([make({"vit": 5})], tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("tables", "name", "said"),
    [
        ([{"vit": 3}], "plot.pdf", "plot.pdf"),
        ([{"vit": 3}], "plot", ".svg or .png"),
        ([{}], "plot.svg", "no certificate"),
        ([], "plot.svg", "none"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    make: Callable[..., BlockTable], tmp_path: Path, tables: list[Any], name: str, said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        plot_certificate([make(families) for families in tables], tmp_path / name)
    assert not (tmp_path / name).exists()


def test_tables_of_two_settings_do_not_share_a_plot(
    make: Callable[..., BlockTable], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="one quantity, setting and device"):
        plot_certificate([make({"vit": 3}), make({"vit": 3}, batch=2)], tmp_path / "plot.svg")


def test_without_matplotlib_the_extra_is_named(
    make: Callable[..., BlockTable], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UnavailableError, match=r"hwnas\[plot\]"):
        plot_certificate([make({"vit": 3})], tmp_path / "plot.svg")

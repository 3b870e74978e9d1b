"""``hwnas profile``: on a runtime whose runs take what a formula says, so that nothing is timed."""

import io
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tomli_w

from hw_profiles import RUNTIMES, BlockTable, Device, Setting
from hw_profiles.files import canonical_json, sha256_of
from hw_profiles.meter import Unavailable
from hw_profiles.profile import Constant, HardwareProfile
from hw_profiles.runtime import Effort
from hw_profiles.store import Store
from hw_profiles.timing import in_turn
from nas.cli import main
from search_spaces import Architecture, CountTable
from search_spaces.profiled import PROFILED

SPACES: dict[str, dict[str, Any]] = {
    "vit": {
        "patch_size": [4],
        "depth": [1, 2, 3],
        "width": [8, 16],
        "heads": [1, 2],
        "mlp_ratio": [1, 2],
        "pool": ["cls", "mean"],
    },
    "mbconv": {
        "stem_width": [4, 8],
        "strides": [2],
        "width": [4, 8],
        "depth": [1, 2, 3],
        "kernel_size": [3, 5],
        "expansion": [1, 2],
        "squeeze": [False, True],
    },
}
EXPERIMENT: dict[str, Any] = {
    "name": "wide",
    "spaces": SPACES,
    "measurement": {"runtime": "fake", "certificate": 20},
}
SETTING = "fake-fp32-b1-t1"
FAKE = Device("Fake 1", "x86_64", cores=4, memory_bytes=8 << 30, features="abc")
COUNTS = CountTable()
GIVEN = {
    "n", "bias", "mape", "within_5", "within_10", "tau", "aa_within_5", "aa_within_10", "aa_tau",
}  # fmt: skip
"""Figures that ``hwnas profile list --json`` has of each family."""


@dataclass
class Machine:
    """What the fake runtime runs on.

    Attributes:
        version: Of the runtime.
        device: Its identity.
        factor: What a network takes over what the formula says.
        noise: Standard deviation of a run over its mean.
        prepared: Ids of the networks that were prepared.
        stop_after: Ctrl-C comes when as many are prepared.
    """

    version: str = "1.0"
    device: Device = FAKE
    factor: Callable[[Architecture], float] = lambda architecture: 1.0
    noise: float = 0.002
    prepared: list[str] = field(default_factory=list)
    stop_after: int | None = None
    now_s: float = 0.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))


machine = Machine()


class FakeRuntime:
    """Runs take 0.1 ms, and 20 us and 1 ns for each MAC of each block."""

    effort = Effort(visits=1, min_runs=4, max_runs=4, seconds=1e-3)
    versions: Mapping[str, str] = {"formula": "1"}

    def __init__(
        self, dtype: str = "fp32", batch: int = 1, threads: int = 1, training: bool = False
    ) -> None:
        if dtype != "fp32" or training:
            raise ValueError(f"`dtype` of fake must be fp32; got {dtype!r}.")
        self.setting = Setting("fake", machine.version, dtype, batch, threads)

    @property
    def device(self) -> Device:
        return machine.device

    def prepare(self, architecture: Architecture | None) -> Callable[[], None]:
        if len(machine.prepared) == machine.stop_after:
            raise KeyboardInterrupt
        machine.prepared.append("nothing" if architecture is None else architecture.id)
        seconds = 1e-4
        if architecture is not None:
            seconds += sum(2e-5 + 1e-9 * COUNTS[b].macs.at(1) for b in architecture.blocks)
            if architecture.space != "reference":
                seconds *= machine.factor(architecture)

        def run() -> None:
            machine.now_s += seconds * (1 + machine.noise * machine.rng.standard_normal())

        return run

    def time(self, runs: Sequence[Callable[[], None]], rounds: int) -> Any:
        return in_turn(runs, rounds, lambda: machine.now_s)

    def finish(self) -> None:
        pass

    def pinned(self) -> AbstractContextManager[None]:
        return nullcontext()


@dataclass
class Ended:
    """A command that is over."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def hwnas(*words: object) -> Ended:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = main([str(word) for word in words])
        except SystemExit as stop:
            status = int(stop.code or 0)
    assert "Traceback" not in err.getvalue(), err.getvalue()
    return Ended(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module", autouse=True)
def _fake_runtime() -> Iterator[None]:
    module = ModuleType("fake_runtime")
    module.__dict__["FakeRuntime"] = FakeRuntime
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "fake_runtime", module)
        patch.setitem(RUNTIMES, "fake", "fake_runtime:FakeRuntime")
        yield


@pytest.fixture(autouse=True)
def _fresh_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys.modules[__name__], "machine", Machine())
    monkeypatch.setattr("hw_profiles.profile.DATA", tmp_path / "shipped")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment that is measured on the fake runtime."""
    path = tmp_path_factory.mktemp("experiment") / "wide.toml"
    path.write_text(tomli_w.dumps(EXPERIMENT))
    return path


@pytest.fixture(scope="module")
def measured(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """A home with the experiment's table, and what measuring it printed."""
    home = tmp_path_factory.mktemp("measured") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWNAS_HOME", str(home))
        ended = hwnas("profile", "measure", experiment)
    assert ended.status == 0, ended.err
    return home, ended


@pytest.fixture
def home(measured: tuple[Path, Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that is in use."""
    copy = Path(shutil.copytree(measured[0], tmp_path / "home"))
    monkeypatch.setenv("HWNAS_HOME", str(copy))
    return copy


def only_table(home: Path) -> tuple[Path, BlockTable]:
    (path,) = Store(home).local.glob(f"{SETTING}.*.json")
    return path, BlockTable.load(path)


def put(table: BlockTable, folder: Path, name: str = "other") -> Path:
    """Writes a table into a profile folder."""
    path = folder / f"{table.setting.name}.{table.quantity}.{name}.json"
    table.save(path)
    return path


@pytest.fixture
def shipped(home: Path, tmp_path: Path) -> Path:
    """A shipped profile of a GPU with constants, notes and two tables."""
    folder = tmp_path / "shipped" / "moon-1"
    device = Device("Moon 1", "sm_99", 132, 80 << 30, "def", "gpu")
    setting = Setting("cudagraph", "9.9", "fp16", 1, 0)
    table = replace(only_table(home)[1], device=device, setting=setting)
    HardwareProfile(
        "moon-1",
        folder,
        device,
        {
            "pue": Constant(1.2, "1", "the operator, 2026"),
            "chip_price": Constant(2.5, "USD/h", "list"),
        },
        ("It has craters.",),
        (setting.name,),
    ).save()
    put(table, folder)
    put(replace(table, quantity="energy_j"), folder)
    return folder


class TestList:
    """Rows of all profiles."""

    def test_nothing(self) -> None:
        assert hwnas("profile", "list", "--json").json == []
        ended = hwnas("profile", "list")
        assert (ended.status, ended.out) == (0, "")
        assert "No table yet" in ended.err

    def test_json_has_the_figures_of_each_family(self, home: Path, shipped: Path) -> None:
        _, table = only_table(home)
        assert table.certificate is not None
        ended = hwnas("profile", "list", "--json")
        assert ended.err == ""
        local, moon = ended.json
        assert (local["profile"], local["setting"]) == ("local", SETTING)
        assert (moon["profile"], moon["setting"]) == ("moon-1", "cudagraph-fp16-b1")
        assert (local["energy"], moon["energy"]) == (False, True)
        for item in (local, moon):
            assert item["measured"] == table.conditions["date"]
            assert set(item["certificate"]) == {"vit", "mbconv", "all"}
            for family, figures in item["certificate"].items():
                assert set(figures) >= GIVEN
                networks = [m for m in table.certificate.measured if family in ("all", m.family)]
                errors = [2 * m.predicted / sum(m.measured) - 1 for m in networks]
                assert figures["n"] == len(networks)
                assert figures["bias"] == pytest.approx(sum(errors) / len(errors))
                assert figures["mape"] == pytest.approx(sum(map(abs, errors)) / len(errors))
                within = sum(abs(e) <= 0.05 for e in errors) / len(errors)
                assert figures["within_5"] == pytest.approx(within)
        assert moon["quantities"]["energy_j"]["blocks"] == len(table.entries)

    def test_tables_of_a_setting_are_one_row(self, home: Path) -> None:
        path, table = only_table(home)
        assert table.certificate is not None
        of_vit = tuple(m for m in table.certificate.measured if m.family == "vit")
        renamed = tuple(replace(m, family="swin") for m in of_vit)
        later = table.conditions | {"date": "2999-01-01T00:00:00+00:00"}
        extra = replace(
            table,
            conditions=later,
            certificate=replace(table.certificate, measured=of_vit + renamed),
        )
        put(extra, path.parent)
        (item,) = hwnas("profile", "list", "--json").json
        numbers = {family: figures["n"] for family, figures in item["certificate"].items()}
        n = len(of_vit)
        mbconv = len(table.certificate.measured) - n
        assert numbers == {"vit": 2 * n, "swin": n, "mbconv": mbconv, "all": 3 * n + mbconv}
        assert item["measured"] == "2999-01-01T00:00:00+00:00"

    def test_other_quantities_do_not_certify_latency(self, home: Path) -> None:
        path, table = only_table(home)
        path.unlink()
        put(replace(table, quantity="train_step_s"), path.parent)
        (item,) = hwnas("profile", "list", "--json").json
        assert item["certificate"] == {}
        assert item["energy"] is False
        assert item["quantities"]["train_step_s"]["certificate"]["vit"]["n"] > 0

    def test_a_table_without_a_certificate_has_none(self, home: Path) -> None:
        path, table = only_table(home)
        replace(table, certificate=None).save(path)
        assert hwnas("profile", "list", "--json").json[0]["certificate"] == {}
        assert re.search(rf"{SETTING} .* none\s*$", hwnas("profile", "list").out, re.MULTILINE)

    def test_for_people(self, home: Path, shipped: Path) -> None:
        ended = hwnas("profile", "list")
        assert ended.err == ""
        rows = [line.split() for line in ended.out.splitlines()]
        assert ["local", SETTING] in [row[:2] for row in rows]
        (moon,) = (row for row in rows if row[:1] == ["moon-1"])
        assert "energy_j," in moon
        assert "vit" in moon


class TestShow:
    """One profile."""

    def test_json(self, home: Path) -> None:
        _, table = only_table(home)
        shown = hwnas("profile", "show", "local", "--json").json
        assert shown["profile"] == "local"
        assert shown["device"]["name"] == "Fake 1"
        assert shown["settings"] == hwnas("profile", "list", "--json").json
        (item,) = shown["tables"]
        assert item["unit"] == "s"
        assert item["blocks"] == len(table.entries)
        assert item["conditions"]["networks"] == table.conditions["networks"]
        assert item["setting"] == table.setting.to_json()
        assert "entries" not in item
        (item,) = hwnas("profile", "show", f"local:{SETTING}", "--json", "--entries").json["tables"]
        assert {key: entry["value"] for key, entry in item["entries"].items()} == {
            key: entry.value for key, entry in table.entries.items()
        }

    def test_for_people(self, home: Path, shipped: Path) -> None:
        ended = hwnas("profile", "show", "moon-1")
        assert ended.err == ""
        for said in (
            "moon-1: Moon 1, sm_99, 132 multiprocessors, 80 GiB",
            "the operator, 2026",
            "USD/h",
            "Note: It has craters.",
            "Certificate",
            "mbconv",
            "latency_s in cudagraph-fp16-b1",
            "energy_j in cudagraph-fp16-b1",
        ):
            assert said in ended.out

    def test_entries_are_printed_in_their_unit(self, home: Path, shipped: Path) -> None:
        _, table = only_table(home)
        out = hwnas("profile", "show", "moon-1", "--entries").out
        key, entry = next(iter(table.entries.items()))
        for scale in (1e-6, 1e-3):  # Seconds in us, joules in mJ.
            row = rf"{re.escape(key)} +{entry.value / scale:.2f} +{entry.low / scale:.2f} "
            assert re.search(row, out)
        assert out.count("(a run of nothing)") == 2

    def test_a_folder_is_a_profile_too(self, home: Path, shipped: Path, tmp_path: Path) -> None:
        folder = Path(shutil.move(shipped, tmp_path / "mine"))
        assert hwnas("profile", "show", "moon-1").status == 3
        assert "Moon 1" in hwnas("profile", "show", folder).out

    @pytest.mark.parametrize("name", ["moon", "local:moon", "moon-1", "local:"])
    def test_what_is_not_there_is_3(self, name: str, tmp_path: Path) -> None:
        ended = hwnas("profile", "show", name)
        assert (ended.status, ended.out) == (3, "")

    def test_an_unknown_setting_names_the_known(self, home: Path) -> None:
        ended = hwnas("profile", "show", "local:fake-fp32-b1")
        assert ended.status == 3
        assert f"Known: {SETTING}" in ended.err

    @pytest.mark.parametrize("suffix", ["svg", "png"])
    def test_plot(self, home: Path, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"plot.{suffix}"
        ended = hwnas("profile", "show", "local", "--plot", path)
        assert ended.status == 0
        assert str(path) in ended.err.replace("\n", "")
        assert path.read_bytes()[:5] == {"svg": b"<?xml", "png": b"\x89PNG\r"}[suffix]

    @pytest.mark.parametrize(
        ("words", "status"),
        [(["--plot", "plot.gif"], 2), (["--plot", "plot.svg", "--quantity", "energy_j"], 3)],
    )
    def test_what_cannot_be_plotted(
        self,
        home: Path,
        words: list[str],
        status: int,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert hwnas("profile", "show", "local", *words).status == status
        assert not list(tmp_path.glob("plot.*"))


class TestValidate:
    """A certificate repeated."""

    def test_on_the_same_machine_it_holds(self, home: Path) -> None:
        _, table = only_table(home)
        assert table.certificate is not None
        seen = {m.architecture for m in table.certificate.measured}
        seen |= set(table.conditions["fitted"])
        ended = hwnas("profile", "validate", "local", "--networks", "12", "--json")
        assert ended.status == 0, ended.err
        (item,) = ended.json
        assert item["profile"] == "local"
        assert item["setting"] == SETTING
        assert item["quantity"] == "latency_s"
        assert item["holds"] is True
        assert set(item["families"]) == {"vit", "mbconv"}
        for family, finding in item["families"].items():
            assert finding["holds"] is True
            assert finding["reasons"] == []
            assert finding["found"]["n"] == 12
            certified = hwnas("profile", "list", "--json").json[0]["certificate"][family]
            assert finding["certified"] == certified
        timed = [key for key in machine.prepared if key not in reference_ids()]
        assert len(set(timed)) == 24
        assert not seen & set(timed)

    def test_for_people(self, home: Path) -> None:
        ended = hwnas("profile", "validate", f"local:{SETTING}", "--networks", "12")
        assert ended.status == 0
        lines = ended.out.splitlines()
        for family in ("vit", "mbconv"):
            (row,) = (
                i for i, line in enumerate(lines) if line.split()[:2] == [family, "certificate"]
            )
            assert lines[row + 1].split()[0] == "now"
            assert lines[row + 1].split()[-1] == "holds"

    def test_a_family_that_became_slower_is_5_and_named(self, home: Path) -> None:
        machine.factor = lambda architecture: 1.25 if architecture.space == "mbconv" else 1.0
        for words in ([], ["--json"]):
            ended = hwnas("profile", "validate", "local", "--networks", "12", *words)
            assert ended.status == 5
            assert "no longer holds" in ended.err
            assert "family mbconv" in ended.err
            assert "family vit" not in ended.err
            assert "too busy" not in ended.err
        findings = ended.json[0]["families"]
        assert findings["vit"]["holds"] is True
        assert findings["mbconv"]["holds"] is False
        assert findings["mbconv"]["found"]["bias"] == pytest.approx(1 / 1.25 - 1, abs=0.03)

    def test_a_busy_machine_is_the_reason(self, home: Path) -> None:
        machine.factor = lambda architecture: 1.25 * float(machine.rng.uniform(0.7, 1.3))
        ended = hwnas("profile", "validate", "local", "--networks", "12")
        assert ended.status == 5
        assert "too busy" in ended.err
        assert "Warning: the machine is busy" in ended.err

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"version": "2.0"}, r"version +1\.0 +2\.0"),
            ({"device": replace(FAKE, name="Fake 2")}, r"name +Fake 1 +Fake 2"),
        ],
    )
    def test_elsewhere_it_is_refused_with_both_sides(
        self, home: Path, change: dict[str, Any], said: str
    ) -> None:
        for key, value in change.items():
            setattr(machine, key, value)
        ended = hwnas("profile", "validate", "local")
        assert (ended.status, ended.out) == (2, "")
        assert re.search(said, ended.err)
        assert re.search(r"^ +there +here$", ended.err, re.MULTILINE)
        assert machine.prepared == []

    def test_another_batch_in_the_file_is_not_taken_for_this_one(self, home: Path) -> None:
        path, table = only_table(home)
        replace(table, setting=replace(table.setting, batch=8)).save(path)
        # Its own setting is what is repeated, whatever the file is called.
        ended = hwnas("profile", "validate", "local", "--networks", "2", "--json")
        assert ended.json[0]["setting"] == "fake-fp32-b8-t1"

    def test_a_gpu_that_is_not_here_is_2(self, shipped: Path) -> None:
        ended = hwnas("profile", "validate", "moon-1")
        assert (ended.status, ended.out) == (2, "")
        assert "No CUDA device is here" in ended.err
        assert re.search(r"^machine +sm_99 ", ended.err, re.MULTILINE)

    def test_energy_that_is_not_counted_is_2(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, table = only_table(home)
        put(replace(table, quantity="energy_j"), path.parent)
        monkeypatch.setattr(
            "hw_profiles.gauge.find_meter", lambda *_, **__: Unavailable("no meter")
        )
        ended = hwnas("profile", "validate", "local", "--quantity", "energy_j")
        assert (ended.status, ended.out) == (2, "")
        assert "energy_j" in ended.err

    @pytest.mark.parametrize(
        ("words", "status"),
        [
            (["moon"], 3),
            (["local:moon"], 3),
            (["local", "--quantity", "moons"], 3),
            (["local", "--quantity", "energy_j"], 3),
            (["local", "--networks", "1"], 2),
            (["local", "--networks", "x"], 2),
            ([], 2),
        ],
    )
    def test_what_cannot_be_asked(self, home: Path, words: list[str], status: int) -> None:
        assert hwnas("profile", "validate", *words).status == status

    def test_a_table_that_cannot_be_repeated_says_why(self, home: Path) -> None:
        path, table = only_table(home)
        for changed, said in (
            (replace(table, certificate=None), "no certificate"),
            (replace(table, spaces=table.spaces[:1]), "other blocks"),
            (replace(table, spaces=({},)), "made again"),
            (replace(table, spaces=()), "made again"),
        ):
            changed.save(path)
            ended = hwnas("profile", "validate", "local")
            assert (ended.status, ended.out) == (2, "")
            assert said in ended.err

    def test_a_space_that_is_used_up_says_so(self, tmp_path: Path) -> None:
        path = tmp_path / "small.toml"
        small = {"vit": SPACES["vit"] | {"depth": [1]}}  # 16 networks.
        path.write_text(tomli_w.dumps(EXPERIMENT | {"spaces": small}))
        assert hwnas("profile", "measure", path).status == 0
        ended = hwnas("profile", "validate", "local")
        assert ended.status == 2
        assert "no network left" in ended.err


def reference_ids() -> set[str]:
    from hw_profiles.timing import REFERENCES

    return {network.id for networks in REFERENCES.values() for network in networks}


class TestCorrupt:
    """Files that are not what they should be: 7, with the file and the entry named."""

    def damage(self, path: Path, change: Callable[[dict[str, Any]], None]) -> None:
        """Changes what a table's file says, with a checksum that fits."""
        data = json.loads(path.read_text())
        data.pop("sha256")
        change(data)
        data["sha256"] = sha256_of(canonical_json(data))
        path.write_text(json.dumps(data))

    def refused(self, path: Path, *said: str) -> None:
        for words in (
            ["list"],
            ["list", "--json"],
            ["show", "local"],
            ["show", f"local:{SETTING}", "--json"],
            ["validate", "local"],
        ):
            ended = hwnas("profile", *words)
            assert (ended.status, ended.out) == (7, ""), words
            for word in (path.name, *said):
                assert word in ended.err

    def test_nan(self, home: Path) -> None:
        path, table = only_table(home)
        key, entry = list(table.entries.items())[3]
        text = path.read_text()
        at = text.index(json.dumps(key))
        path.write_text(text[:at] + text[at:].replace(repr(entry.p50), "NaN", 1))
        self.refused(path, key, "NaN")

    @pytest.mark.parametrize("value", [-1e-6, None, "1", [1]])
    def test_what_is_no_time(self, home: Path, value: Any) -> None:
        path, table = only_table(home)
        key = list(table.entries)[3]

        def change(data: dict[str, Any]) -> None:
            data["table"]["entries"][key][1] = value

        self.damage(path, change)
        self.refused(path, key, "p10")

    def test_a_unit_that_is_not_the_quantitys(self, home: Path) -> None:
        path, _ = only_table(home)
        self.damage(path, lambda data: data["table"].update(unit="ms"))
        self.refused(path, "latency_s", "'ms'")

    def test_a_wrong_checksum(self, home: Path) -> None:
        path, _ = only_table(home)
        data = json.loads(path.read_text())
        data["table"]["space"] = "moon"
        path.write_text(json.dumps(data))
        self.refused(path, "checksum")

    def test_a_negative_measurement_of_the_certificate(self, home: Path) -> None:
        path, _ = only_table(home)
        data = json.loads(path.read_text())
        name = data["certificate"]["measured"][2]["architecture"]

        def change(data: dict[str, Any]) -> None:
            data["certificate"]["measured"][2]["measured"][0] *= -1

        self.damage(path, change)
        self.refused(path, name)

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"sha256": ""}'])
    def test_a_file_that_is_something_else(self, home: Path, content: bytes) -> None:
        path, _ = only_table(home)
        path.write_bytes(content)
        self.refused(path)

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("1.2", "NaN", "pue"),
            ("1.2", "-1.2", "pue"),
            ('"USD/h"', '"EUR/h"', "chip_price"),
            ('"list"', '""', "chip_price"),
            ("{", "", "profile.json"),
        ],
    )
    def test_a_profiles_own_file(self, shipped: Path, old: str, new: str, said: str) -> None:
        path = shipped / "profile.json"
        path.write_text(path.read_text().replace(old, new, 1))
        for words in (["list"], ["show", "moon-1"], ["validate", "moon-1"]):
            ended = hwnas("profile", *words)
            assert (ended.status, ended.out) == (7, "")
            assert str(path) in ended.err.replace("\n", "")
            assert said in ended.err


class TestMeasure:
    """Tables of this machine."""

    def test_the_table_says_how_it_was_made(self, measured: tuple[Path, Ended], home: Path) -> None:
        ended = measured[1]
        path, table = only_table(home)
        assert re.search(r"about \d+ s", ended.err)
        assert path.name in ended.err.replace("\n", "")
        assert "mbconv" in ended.out
        assert table.device == machine.device
        assert table.setting == Setting("fake", "1.0", "fp32", 1, 1)
        assert table.certificate is not None
        assert table.certificate.families["vit"].n == 20
        assert table.certificate.families["vit"].within_5 == 1.0
        assert not list(path.parent.glob("*.journal"))

    def test_spaces_by_name(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name, fields in SPACES.items():
            tuples = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
            monkeypatch.setitem(PROFILED, f"{name}_tiny", (name, tuples))  # type: ignore[index]
        words = ["--space", "vit_tiny", "mbconv_tiny", "--runtime", "fake", "--certificate", "20"]
        ended = hwnas(
            "profile", "measure", *words, "--batch", "4", "--threads", "2", "--max-blocks", "20"
        )
        assert ended.status == 0, ended.err
        (path,) = Store().local.glob("*.json")
        table = BlockTable.load(path)
        assert table.setting.name == "fake-fp32-b4-t2"
        assert table.space == "vit+mbconv"
        assert len(table.entries) == 20

    def test_blocks_of_published_networks_are_there_too(self, experiment: Path) -> None:
        from search_spaces import block_key
        from search_spaces.presets import preset

        ended = hwnas("profile", "measure", experiment, "--also", "mobilenet_v2")
        assert ended.status == 0, ended.err
        (path,) = Store().local.glob("*.json")
        table = BlockTable.load(path)
        assert {block_key(block) for block in preset("mobilenet_v2").blocks} <= set(table.entries)

    def test_out_makes_a_profile_folder(self, experiment: Path, tmp_path: Path) -> None:
        folder = tmp_path / "profiles" / "mine"
        assert hwnas("profile", "measure", experiment, "--out", folder).status == 0
        assert not Store().local.exists()
        profile = HardwareProfile.load(folder)
        assert profile.name == "mine"
        assert profile.device == machine.device
        assert profile.constants == {}
        assert profile.settings == (SETTING,)
        # What is there is left alone, and another batch is one more setting.
        replace(profile, notes=("kept",)).save()
        assert hwnas("profile", "measure", experiment, "--out", folder, "--batch", 2).status == 0
        assert HardwareProfile.load(folder).notes == ("kept",)
        assert HardwareProfile.load(folder).settings == (SETTING, "fake-fp32-b2-t1")
        machine.device = replace(machine.device, name="Fake 2")
        ended = hwnas("profile", "measure", experiment, "--out", folder, "--batch", 8)
        assert ended.status == 2
        assert re.search(r"name +Fake 1 +Fake 2", ended.err)

    def test_what_was_measured_elsewhere_is_not_measured_into(
        self, home: Path, experiment: Path
    ) -> None:
        path, _ = only_table(home)
        before = path.read_bytes()
        machine.version = "2.0"
        ended = hwnas("profile", "measure", experiment)
        assert (ended.status, ended.out) == (2, "")
        assert re.search(r"version +1\.0 +2\.0", ended.err)
        assert str(path) in ended.err.replace("\n", "")
        assert path.read_bytes() == before
        assert machine.prepared == []
        assert hwnas("profile", "measure", experiment, "--batch", "2").status == 0

    def test_a_corrupt_table_is_not_measured_into(self, home: Path, experiment: Path) -> None:
        path, _ = only_table(home)
        path.write_text("{")
        assert hwnas("profile", "measure", experiment).status == 7
        assert path.read_text() == "{"

    def test_the_same_command_goes_on(self, experiment: Path) -> None:
        machine.stop_after = 60
        ended = hwnas("profile", "measure", experiment)
        assert (ended.status, ended.out) == (130, "")
        assert f"hwnas profile measure {experiment}" in ended.err.replace("\n", " ")
        assert len(machine.prepared) == 60
        machine.stop_after, machine.prepared = None, []
        assert hwnas("profile", "measure", experiment).status == 0
        gone_on = len(machine.prepared)
        (path,) = Store().local.glob("*")
        networks = BlockTable.load(path).conditions["networks"]
        machine.prepared = []
        assert hwnas("profile", "measure", experiment).status == 0
        assert BlockTable.load(path).conditions["networks"] == networks
        assert gone_on < len(machine.prepared) - 30

    def test_a_noisy_table_is_written_with_a_warning_unless_strict(self, experiment: Path) -> None:
        machine.noise = 0.3
        ended = hwnas("profile", "measure", experiment, "--strict")
        assert (ended.status, ended.out) == (5, "")
        assert "noisy" in ended.err
        assert not list(Store().local.glob("*.json"))
        ended = hwnas("profile", "measure", experiment)
        assert ended.status == 0
        assert "noisy" in ended.err
        (item,) = hwnas("profile", "list", "--json").json
        assert item["quantities"]["latency_s"]["noisy"] is True

    @pytest.mark.parametrize(
        ("words", "status", "said"),
        [
            ([], 2, "one of the two"),
            (["--space", "vit"], 2, "one of the two"),
            (["--runtime", "moon"], 3, "onnxruntime"),
            (["--dtype", "fp8"], 2, "fp8"),
            (["--batch", "0"], 2, "batch"),
            (["--threads", "x"], 2, "--threads"),
            (["--quantity", "moons"], 3, "latency_s"),
            (["--quantity", "train_step_s"], 2, "fake"),
            (["--quantity", "decode_step_s"], 2, "vit, mbconv generate none"),
            (["--minutes", "0"], 2, "--minutes"),
            (["--minutes", "nan"], 2, "--minutes"),
            (["--certificate", "3"], 2, "certificate"),
            (["--also", "moon"], 3, "preset"),
            (["--also", "t5_small"], 2, "t5_small"),
            (["--set", "measurement.batches=3"], 2, "batches"),
        ],
    )
    def test_what_cannot_be_asked(
        self, experiment: Path, words: list[str], status: int, said: str
    ) -> None:
        ended = hwnas("profile", "measure", *([experiment] if words else []), *words)
        assert (ended.status, ended.out) == (status, "")
        assert said in ended.err
        assert machine.prepared == []

    @pytest.mark.parametrize(
        ("words", "status", "said"),
        [
            (["moon"], 3, "vit_96"),
            (["vit", "decoder"], 2, "one by one"),
            (["vit", "vit_96"], 2, "one by one"),
            (["vit", "--set", "seed=3"], 2, "--set"),
            (["vit", "--certificate", "3"], 2, "--certificate"),
            (["vit", "--max-blocks", "1"], 2, "--max-blocks"),
        ],
    )
    def test_spaces_that_cannot_be(self, words: list[str], status: int, said: str) -> None:
        ended = hwnas("profile", "measure", "--runtime", "fake", "--space", *words)
        assert (ended.status, ended.out) == (status, "")
        assert said in ended.err

    def test_openvino_that_is_not_installed_is_2(
        self, experiment: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "openvino", None)
        ended = hwnas("profile", "measure", experiment, "--runtime", "openvino")
        assert (ended.status, ended.out) == (2, "")
        assert "hwnas[openvino]" in ended.err

    def test_a_gpu_that_is_not_here_is_2(self, experiment: Path) -> None:
        ended = hwnas("profile", "measure", experiment, "--runtime", "cudagraph")
        assert (ended.status, ended.out) == (2, "")
        assert "No CUDA device is here" in ended.err

"""``hwnas cost`` on profiles and pipelines, and ``hwnas footprint``, by figures worked by hand."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw_profiles import BlockTable
from hw_profiles.profile import HardwareProfile
from nas.cli import main
from search_spaces import Architecture, UnionSpace

TablesIn = Callable[[Path], dict[Path, BlockTable]]
Out = pytest.CaptureFixture[str]


@pytest.fixture
def networks(tiny_space: UnionSpace, tmp_path: Path) -> dict[int, Path]:
    """A file of a network of three blocks, of four and of six."""
    found: dict[int, Path] = {}
    for row in tiny_space.random_codes(200, np.random.default_rng(0)):
        architecture = tiny_space.decode(row)
        if len(architecture) not in found:
            path = tmp_path / f"{len(architecture)}.json"
            path.write_text(json.dumps(architecture.to_json()))
            found[len(architecture)] = path
    assert set(found) == {3, 4, 6}
    return found


def said(capsys: Out, *words: Any) -> Any:
    """What a command prints as JSON."""
    assert main([*map(str, words), "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


class TestProfiles:
    """``hwnas cost ARCH --profile P[:S]``."""

    def test_every_indicator_of_each_with_interval_and_provenance(
        self, networks: dict[int, Path], moon: HardwareProfile, capsys: Out
    ) -> None:
        places = ["moon:cudagraph-fp16-b8", "moon"]
        words = [word for place in places for word in ("--profile", place)]
        data = said(capsys, "cost", networks[4], *words)
        values = data["indicators"]
        assert {name.partition("@")[2] for name in values} == {"", *places}
        eight, one = (values[f"latency_s@{place}"] for place in places)
        # Four blocks of 2 and of 1 ms; the 95 % quantile of errors of 0, 10, 10 and 20 % is 18.5 %.
        for value, total in ((eight, 8e-3), (one, 4e-3)):
            assert value["value"] == pytest.approx(total)
            assert value["low"] == pytest.approx(total * (1 - 0.185))
            assert value["high"] == pytest.approx(total * (1 + 0.185))
            assert value["provenance"] == "table"
            assert value["unit"] == "seconds"
        assert values["carbon_g@moon"]["value"] == pytest.approx(4 * 0.5 * 1.25 / 3.6e6 * 360)
        # A dollar every thousand seconds, and eight queries in 8 ms.
        assert values["cost_usd@moon:cudagraph-fp16-b8"]["value"] == pytest.approx(1e-6)
        assert values["throughput_per_s@moon"]["at"] == "batch 8"
        reason = data["unavailable"]["energy_j@moon:cudagraph-fp16-b8"]
        assert "was not measured on moon in cudagraph-fp16-b8" in reason
        assert not set(data["unavailable"]) & set(values)

    def test_for_people_reasons_stand_below(
        self,
        networks: dict[int, Path],
        write_profile: Callable[..., HardwareProfile],
        moon: HardwareProfile,
        capsys: Out,
    ) -> None:
        timed = {("cudagraph", "bf16", 64, "train_step_s"): 1.0}
        write_profile(moon.folder.parent / "mars", "mars", costs=timed)
        assert main(["cost", str(networks[4]), "--profile", "mars"]) == 0
        captured = capsys.readouterr()
        assert "train_step_s@mars" in captured.out
        assert "batch 64, bf16" in captured.out
        (line,) = (line for line in captured.out.splitlines() if "energy is not" in line)
        assert line == (
            "Not available: energy_j@mars, train_energy_j@mars, carbon_g@mars, as energy is not "
            "counted on mars."
        )
        assert captured.err == ""

    @pytest.mark.parametrize(
        ("place", "status", "words"),
        [
            ("sun", 3, "Unknown profile 'sun'"),
            ("moon:cudagraph-fp16-b2", 3, "cudagraph-fp16-b8"),
            ("local", 3, "has no table yet"),
        ],
    )
    def test_what_is_not_there(
        self,
        networks: dict[int, Path],
        moon: HardwareProfile,
        capsys: Out,
        place: str,
        status: int,
        words: str,
    ) -> None:
        assert main(["cost", str(networks[4]), "--profile", place]) == status
        captured = capsys.readouterr()
        assert captured.out == ""
        assert words in captured.err
        assert "Traceback" not in captured.err

    def test_a_constant_that_was_changed_is_named(
        self, networks: dict[int, Path], moon: HardwareProfile, capsys: Out
    ) -> None:
        path = moon.folder / "profile.json"
        path.write_text(path.read_text().replace('"value": 1.25', '"value": 1.05'))
        for words in (["cost", str(networks[4])], ["footprint", "vit_ti_16", "--queries", "1"]):
            assert main([*words, "--profile", "moon"]) == 7
            captured = capsys.readouterr()
            assert captured.out == ""
            assert f"{path}, constant pue: wrong checksum" in captured.err.replace("\n", "")

    def test_a_table_whose_model_is_none_is_named(
        self,
        networks: dict[int, Path],
        moon: HardwareProfile,
        capsys: Out,
    ) -> None:
        """Not the network's file, though that is what is priced."""
        table = moon.tables("cudagraph-fp16-b1", "latency_s")[0]
        assert table.path is not None
        some = dict(list(table.entries.items())[::2])
        replace(table, entries=some, model={"format": "no model"}).save(table.path)
        assert main(["cost", str(networks[4]), "--profile", "moon"]) == 7
        said = capsys.readouterr().err.replace("\n", "")
        assert f"{table.path}, model: " in said
        assert str(networks[4]) not in said

    def test_a_foreign_local_table_is_refused_side_by_side(
        self,
        networks: dict[int, Path],
        home_copy: Path,
        tables_in: TablesIn,
        capsys: Out,
    ) -> None:
        ((path, table),) = tables_in(home_copy).items()
        replace(table, setting=replace(table.setting, version="0.1")).save(path)
        assert main(["cost", str(networks[4]), "--profile", "local"]) == 2
        rows = [line.split() for line in capsys.readouterr().err.splitlines()]
        assert ["version", "0.1", table.setting.version] in rows
        # By itself it is left out, and said to be.
        assert main(["cost", str(networks[4])]) == 0
        assert "every one is of another device or version" in capsys.readouterr().err

    def test_a_preset_is_answered_with_an_interval(
        self, write_profile: Callable[..., HardwareProfile], moon: HardwareProfile, capsys: Out
    ) -> None:
        # Blocks that the table does not hold are predicted, and that is said.
        value = said(capsys, "cost", "vit_ti_64", "--profile", "moon")["indicators"][
            "latency_s@moon"
        ]
        assert value["provenance"] == "predicted"
        assert value["low"] < value["value"] < value["high"]


class TestPipelines:
    """``hwnas cost ARCH --stages P --micro-batches M``."""

    @pytest.mark.parametrize(
        ("network", "stages", "micro", "schedule", "bubble"),
        [
            (4, 2, 4, "1f1b", 1 / 4),  # Balanced: (p - 1) / m.
            (4, 4, 8, "gpipe", 3 / 8),
            (6, 3, 6, "1f1b", 2 / 6),
            (4, 2, 4, "interleaved", 1 / 8),  # Two chunks halve it.
        ],
    )
    def test_balanced_stages_have_the_bubble_of_the_paper(
        self,
        networks: dict[int, Path],
        moon: HardwareProfile,
        capsys: Out,
        network: int,
        stages: int,
        micro: int,
        schedule: str,
        bubble: float,
    ) -> None:
        place = "moon:cudagraph-bf16-b64"
        pipeline = ("--stages", stages, "--micro-batches", micro, "--schedule", schedule)
        data = said(capsys, "cost", networks[network], "--profile", place, *pipeline)
        value = data["indicators"][f"pipeline_bubble@{place}"]
        assert value["value"] == pytest.approx(bubble)
        assert f"{stages} stages, {micro} micro-batches, {schedule}" in value["at"]
        assert "from train_step_s; 0 of it from unequal stages" in value["at"]
        assert value["unit"] == "1"

    def test_unequal_stages_wait_for_the_longest(
        self, networks: dict[int, Path], moon: HardwareProfile, capsys: Out
    ) -> None:
        # Three equal blocks in two stages: 2 and 1 units, of which the first has 2/3 more than the
        # mean of 1.5 to do, a third in all. A micro-batch takes the stages 2 and 1 forward and 4
        # and 2 backward. With one of them the step takes all nine, twice the mean work of 4.5.
        words = ("--stages", 2, "--micro-batches", 1)
        data = said(capsys, "cost", networks[3], "--profile", "moon", *words)
        value = data["indicators"]["pipeline_bubble@moon"]
        assert value["value"] == pytest.approx(9 / 4.5 - 1)
        assert "from latency_s, as no training step was measured there" in value["at"]
        assert "0.333 of it from unequal stages" in value["at"]
        assert main(["cost", str(networks[3]), "--profile", "moon", *map(str, words)]) == 0
        assert "pipeline_bubble@moon: 1 (2 stages, 1 micro-batches, 1f1b;" in (
            capsys.readouterr().out
        )

    @pytest.mark.parametrize(
        ("words", "status", "told"),
        [
            (["--micro-batches", "4"], 2, "--stages"),
            (["--stages", "2"], 2, "--micro-batches"),
            (["--stages", "9", "--micro-batches", "4"], 2, "9 stages"),
            (["--stages", "0", "--micro-batches", "4"], 2, "whole number above 0"),
            (["--stages", "2", "--micro-batches", "4", "--schedule", "zigzag"], 3, "gpipe"),
            (
                ["--stages", "2", "--micro-batches", "3", "--schedule", "interleaved"],
                2,
                "multiple of the devices",
            ),
        ],
    )
    def test_a_pipeline_that_cannot_be(
        self,
        networks: dict[int, Path],
        moon: HardwareProfile,
        capsys: Out,
        words: list[str],
        status: int,
        told: str,
    ) -> None:
        assert main(["cost", str(networks[4]), "--profile", "moon", *words]) == status
        captured = capsys.readouterr()
        assert captured.out == ""
        assert told in captured.err


class TestFootprint:
    """``hwnas footprint ARCH [ARCH2]``."""

    def test_training_and_inference_with_the_profiles_assumptions(
        self, networks: dict[int, Path], moon: HardwareProfile, capsys: Out
    ) -> None:
        data = said(
            capsys, "footprint", networks[4], "--profile", "moon", "--queries", "1e6",
            "--train-steps", 1000, "--chips", 2,
        )  # fmt: skip
        (model,) = data["models"]
        # Four blocks: 4 ms and 2 J of a query; a step of 120 ms and 80 J on each of two chips.
        assert model["served"] == "moon"
        assert model["trained"] == "moon:cudagraph-bf16-b64"
        assert model["inference"]["chip_s"] == pytest.approx(4e3)
        assert model["inference"]["energy_j"] == pytest.approx(2e6 * 1.25)
        assert model["inference"]["carbon_g"] == pytest.approx(2e6 * 1.25 / 3.6e6 * 360)
        assert model["inference"]["cost_usd"] == pytest.approx(4.0)
        assert model["training"]["chip_s"] == pytest.approx(240.0)
        assert model["training"]["energy_j"] == pytest.approx(160e3 * 1.25)
        assert model["training"]["cost_usd"] == pytest.approx(0.24)
        assert model["total"]["cost_usd"] == pytest.approx(4.24)
        assert model["elapsed_s"] == pytest.approx(4240 / 2)
        assert data["assumptions"]["pue"] == {"value": 1.25, "unit": "1", "source": "made up"}

    def test_options_come_before_the_profile_and_it_before_the_world(
        self,
        networks: dict[int, Path],
        write_profile: Callable[..., HardwareProfile],
        moon: HardwareProfile,
        capsys: Out,
    ) -> None:
        write_profile(moon.folder.parent / "mars", "mars", constants=("pue",))
        base = ("footprint", networks[3], "--profile", "mars", "--queries", 1)
        assumed = said(capsys, *base, "--price", 7.2)["assumptions"]
        assert assumed["pue"]["value"] == 1.25
        assert assumed["carbon_intensity"]["value"] == 432.7
        assert "Strubell" in assumed["carbon_intensity"]["source"]
        assert assumed["chip_price"]["source"] == "given on the command line"
        given = said(capsys, *base, "--pue", 1.1, "--carbon-intensity", 20)
        assert given["assumptions"]["pue"]["value"] == 1.1
        assert given["assumptions"]["chip_price"] is None
        (model,) = given["models"]
        assert model["total"]["cost_usd"] is None
        assert model["total"]["carbon_g"] == pytest.approx(1.5 * 1.1 / 3.6e6 * 20)

    def test_two_networks_break_even(
        self, networks: dict[int, Path], moon: HardwareProfile, capsys: Out
    ) -> None:
        both = (networks[6], networks[4])
        words = ("--profile", "moon", "--queries", 100, "--train-steps", 10)
        data = said(capsys, "footprint", *both, *words)
        # Six blocks take more of everything than four, training and queries alike.
        assert {item["below"] for item in data["break_even"].values()} == {"b"}
        assert set(data["break_even"]) == {"chip_s", "energy_j", "carbon_g", "cost_usd"}
        assert main(["footprint", *map(str, both), *map(str, words)]) == 0
        out = capsys.readouterr().out
        ids = [Architecture.from_json(json.loads(path.read_text())).id for path in both]
        assert f"carbon_g: {both[1]} takes less at any number of queries" in out
        assert "PUE: 1.25 1 (made up)" in out
        for word in (*ids, "training on 1 chip", "100 queries", "together", "kWh", "moon"):
            assert word in out

    def test_training_elsewhere_and_energy_that_is_not_counted(
        self, networks: dict[int, Path], moon: HardwareProfile, capsys: Out
    ) -> None:
        words = ("--profile", "moon:cudagraph-fp16-b8", "--queries", 8)
        data = said(
            capsys, "footprint", networks[3], *words,
            "--train-steps", 1, "--train-profile", "moon:cudagraph-bf16-b64",
        )  # fmt: skip
        (model,) = data["models"]
        # Eight queries are one run of 6 ms; its energy is not known, that of training is.
        assert model["inference"]["chip_s"] == pytest.approx(6e-3)
        assert model["inference"]["energy_j"] is None
        assert model["training"]["energy_j"] == pytest.approx(60 * 1.25)
        assert model["total"]["energy_j"] is None
        assert main(["footprint", str(networks[3]), *map(str, words)]) == 0
        assert "Energy is not counted there" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("words", "status", "told"),
        [
            (["--train-steps", "5", "--train-profile", "moon"], 2, "train_step_s"),
            (["--queries", "-1"], 2, "`queries` must be a number"),
            (["--queries", "nan"], 2, "`queries` must be a number"),
            (["--chips", "0"], 2, "`chips` must be a whole number"),
            (["--train-steps", "-3"], 2, "`train_s`"),
            (["--pue", "0.9"], 2, "`pue` must be at least 1"),
            (["--profile", "sun"], 3, "Unknown profile"),
            (["--profile", "local"], 3, "has no table yet"),
        ],
    )
    def test_what_cannot_be(
        self,
        networks: dict[int, Path],
        moon: HardwareProfile,
        capsys: Out,
        words: list[str],
        status: int,
        told: str,
    ) -> None:
        base = ["footprint", str(networks[3]), "--profile", "moon", "--queries", "1"]
        assert main([*base, *words]) == status
        captured = capsys.readouterr()
        assert captured.out == ""
        assert told in captured.err
        assert "Traceback" not in captured.err

"""Places: what prices candidates on this machine and elsewhere, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw_profiles import BlockTable, local_device
from hw_profiles.errors import ForeignTableError, UnavailableError
from hw_profiles.meter import Unavailable
from hw_profiles.profile import HardwareProfile
from hw_profiles.store import Store
from nas.errors import ExperimentError
from nas.experiment import Experiment
from nas.places import (
    check_local_names,
    check_made_here,
    devices_of_run,
    local_device_of,
    other_devices,
    place_device,
    ready_local_devices,
)
from search_spaces import Architecture, CountTable, UnionSpace, UnknownNameError, block_key

TablesIn = Callable[[Path], dict[Path, BlockTable]]


@pytest.fixture
def first(tiny_space: UnionSpace) -> Architecture:
    return tiny_space.decode(np.zeros(len(tiny_space.parameters), int))


@pytest.fixture
def counts() -> CountTable:
    return CountTable()


class TestThisMachine:
    """What the command line prices an architecture with if nothing else is said."""

    def test_the_table_that_holds_the_blocks_is_taken(
        self, first: Architecture, kept: Store, counts: CountTable
    ) -> None:
        device, why = local_device_of(first, counts, kept)
        assert why == ""
        assert device is not None
        found = device.predictor("latency_s", first.space)
        assert found is not None
        assert all(block in found.table for block in first.blocks)
        assert device.price(first)["latency_s"].provenance == "table"

    def test_without_a_table_there_is_none(
        self, first: Architecture, counts: CountTable, tmp_path: Path
    ) -> None:
        device, why = local_device_of(first, counts, Store(tmp_path / "new"))
        assert device is None
        assert "none was measured" in why

    @pytest.mark.parametrize(
        "change",
        [
            lambda t: replace(t, device=replace(t.device, name="Other")),
            lambda t: replace(t, setting=replace(t.setting, version="0.1")),
        ],
    )
    def test_a_table_of_another_device_or_version_is_none(
        self,
        first: Architecture,
        counts: CountTable,
        home_copy: Path,
        tables_in: TablesIn,
        change: Callable[[BlockTable], BlockTable],
    ) -> None:
        ((path, table),) = tables_in(home_copy).items()
        change(table).save(path)
        device, why = local_device_of(first, counts, Store(home_copy))
        assert device is None
        assert "every one is of another device or version" in why

    @pytest.mark.parametrize("key", ["mine:Block(width=3)", "ConvHead(width=3)"])
    def test_a_table_with_a_block_that_is_not_known_predicts_nothing(
        self,
        first: Architecture,
        counts: CountTable,
        home_copy: Path,
        tables_in: TablesIn,
        key: str,
    ) -> None:
        store = Store(home_copy)
        ((path, table),) = tables_in(home_copy).items()
        table = replace(table, model=None)
        entries = {**table.entries, key: table.overhead}
        replace(table, entries=entries).save(path)
        assert local_device_of(first, counts, store)[0] is not None
        del entries[block_key(first.blocks[0])]
        replace(table, entries=entries).save(path)
        assert local_device_of(first, counts, store)[0] is None

    def test_a_table_of_none_of_the_blocks_is_not_taken(
        self,
        first: Architecture,
        counts: CountTable,
        home_copy: Path,
        tables_in: TablesIn,
    ) -> None:
        ((path, table),) = tables_in(home_copy).items()
        others = {k: e for k, e in table.entries.items() if k not in map(block_key, first.blocks)}
        replace(table, entries=others).save(path)
        device, why = local_device_of(first, counts, Store(home_copy))
        assert (device, why) == (None, "no table of this machine holds its blocks")
        # By its name it is: then what is missing is predicted.
        named = place_device("local", first, counts, Store(home_copy))
        assert named.price(first)["latency_s"].provenance == "predicted"


class TestByName:
    """What a place that is named stands for."""

    def test_a_shipped_profile_is_priced_with_anywhere(
        self, first: Architecture, counts: CountTable, moon: HardwareProfile, tmp_path: Path
    ) -> None:
        store = Store(tmp_path / "new")
        named = place_device("moon:cudagraph-fp16-b8", first, counts, store)
        assert named.price(first)["latency_s"].value == pytest.approx(2e-3 * len(first))
        # Without a setting it is the profile's first.
        assert place_device("moon", first, counts, store).setting.name == "cudagraph-fp16-b1"

    @pytest.mark.parametrize(
        ("place", "said"),
        [
            ("sun", "Unknown profile 'sun'"),
            ("moon:cudagraph-fp16-b2", "Known: .*cudagraph-fp16-b1"),
        ],
    )
    def test_what_is_not_there_is_named(
        self,
        first: Architecture,
        counts: CountTable,
        moon: HardwareProfile,
        tmp_path: Path,
        place: str,
        said: str,
    ) -> None:
        with pytest.raises(UnknownNameError, match=said):
            place_device(place, first, counts, Store(tmp_path / "new"))

    def test_nothing_measured_here_is_not_found(
        self, first: Architecture, counts: CountTable, tmp_path: Path
    ) -> None:
        with pytest.raises(FileNotFoundError, match="has no table yet"):
            place_device("local", first, counts, Store(tmp_path / "new"))

    def test_a_foreign_table_is_refused_with_both_sides(
        self, first: Architecture, counts: CountTable, home_copy: Path, tables_in: TablesIn
    ) -> None:
        ((path, table),) = tables_in(home_copy).items()
        setting = replace(table.setting, version="0.1")
        replace(table, device=replace(table.device, name="Other"), setting=setting).save(path)
        with pytest.raises(ForeignTableError) as caught:
            place_device("local", first, counts, Store(home_copy))
        assert caught.value.differences == {
            "name": ("Other", local_device().name),
            "version": ("0.1", table.setting.version),
        }
        rows = [line.split() for line in str(caught.value).splitlines()]
        assert ["version", "0.1", table.setting.version] in rows

    def test_a_table_of_a_runtime_that_is_not_here_is_refused(
        self, table: BlockTable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        check_made_here(table)

        def absent(*_: Any, **__: Any) -> Any:
            raise UnavailableError("No CUDA device is here.")

        monkeypatch.setattr("nas.places.make_runtime", absent)
        with pytest.raises(UnavailableError):
            check_made_here(table)


class TestExperiments:
    """What an experiment's candidates are priced with."""

    def test_every_place_that_is_named_has_its_device(
        self,
        tiny: Callable[..., Experiment],
        tiny_space: UnionSpace,
        counts: CountTable,
        kept: Store,
        moon: HardwareProfile,
        quiet: Any,
    ) -> None:
        experiment = tiny(
            profiles=["moon:cudagraph-bf16-b64"],
            search={"objectives": ["energy_j@moon"]},
            budgets={"latency_s@moon:cudagraph-fp16-b8": 1.0},
        )
        assert experiment.places == (
            "local", "moon:cudagraph-bf16-b64", "moon", "moon:cudagraph-fp16-b8",
        )  # fmt: skip
        others = other_devices(experiment, tiny_space, counts, kept)
        own, table = ready_local_devices(experiment, tiny_space, counts, kept, quiet)
        assert {place: device.setting.name for place, device in (own | others).items()} == {
            "local": table.setting.name,
            "moon": "cudagraph-fp16-b1",
            "moon:cudagraph-fp16-b8": "cudagraph-fp16-b8",
            "moon:cudagraph-bf16-b64": "cudagraph-bf16-b64",
        }
        assert own["local"].tables == (table,)

    def test_what_a_shipped_profile_cannot_give_is_refused_with_the_reason(
        self,
        tiny: Callable[..., Experiment],
        tiny_space: UnionSpace,
        counts: CountTable,
        kept: Store,
        moon: HardwareProfile,
    ) -> None:
        for name, reason in {
            "energy_j@moon:cudagraph-fp16-b8": "energy_j of vit was not measured on moon in",
            "train_step_s@moon": "train_step_s of vit was not measured on moon",
            "decode_step_s@moon": "the networks of vit generate no text",
        }.items():
            experiment = tiny(search={"objectives": [name]})
            with pytest.raises(ExperimentError, match=f"`{name}` is not available: {reason}"):
                other_devices(experiment, tiny_space, counts, kept)

    @pytest.mark.parametrize(
        ("name", "error", "said"),
        [
            ("energy_j@local", UnavailableError, "cannot be measured here: no zone"),
            ("carbon_g@local", UnavailableError, "cannot be measured here: no zone"),
            ("train_step_s@local", ExperimentError, "take cudagraph on a GPU"),
            ("cost_usd@local", ExperimentError, "the profile local states no chip_price"),
            ("latency_s@local:onnxruntime-fp32-b8-t1", UnknownNameError, "onnxruntime-fp32-b1-t1"),
        ],
    )
    def test_what_this_machine_cannot_give_is_refused_before_it_is_measured(
        self,
        tiny: Callable[..., Experiment],
        tiny_space: UnionSpace,
        kept: Store,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        error: type[Exception],
        said: str,
    ) -> None:
        monkeypatch.setattr("hw_profiles.gauge.find_meter", lambda *_, **__: Unavailable("no zone"))
        check_local_names(tiny(), tiny_space, kept)
        with pytest.raises(error, match=said):
            check_local_names(tiny(budgets={name: 1.0}), tiny_space, kept)

    def test_a_quantity_that_is_named_is_measured_too(
        self, tmp_path: Path, quiet: Any, stub: Any
    ) -> None:
        experiment = Experiment.from_data(
            {
                "name": "x",
                "task": {"dataset": "text"},
                "spaces": {"decoder": {"depth": [1], "context": [16], "width": [16, 32]}},
                "search": {"objectives": ["decode_step_s@local"]},
                "measurement": {"certificate": 20},
            }
        )
        space, store = experiment.space(experiment.load_dataset()), Store(tmp_path / "new")
        check_local_names(experiment, space, store)
        own, table = ready_local_devices(experiment, space, CountTable(), store, quiet)
        assert table.quantity == "latency_s"
        assert {found.quantity for found in own["local"].tables} == {"latency_s", "decode_step_s"}
        architecture = space.decode(np.zeros(len(space.parameters), int))
        assert own["local"].price(architecture)["decode_step_s"].value > 0

    def test_a_run_is_priced_by_its_own_copies(
        self,
        finished: Any,
        opened: Any,
        tiny_space: UnionSpace,
        counts: CountTable,
        first: Architecture,
    ) -> None:
        devices = devices_of_run(opened.experiment(), opened.profiles(), tiny_space, counts)
        members = {member.id: member for member in finished.outcome.pareto.members}
        for member in members.values():
            values = devices["local"].price(member.architecture)
            assert {f"{name}@local": value for name, value in values.items()} == {
                name: value for name, value in member.indicators.items() if "@" in name
            }

"""What a profile says of networks, with made-up tables in which every block costs the same."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw_profiles import BlockTable, Certificate, Device, Entry, Measured, Setting, space_digest
from hw_profiles.profile import Constant, HardwareProfile
from predictors import ProfilePricer
from predictors.device_tables import families_of
from predictors.profile_pricer import COUNTED, DEVICE_INDICATORS
from search_spaces import (
    SPACES,
    Architecture,
    CountTable,
    MBConvSpace,
    SearchSpace,
    UnionSpace,
    UnknownNameError,
    ViTSpace,
    block_key,
    count,
)

GIB = 2**30
DEVICE = Device("Fake GPU", "sm_0", cores=8, memory_bytes=8 * GIB, features="abc", kind="gpu")
VIT = ViTSpace(patch_size=(4,), depth=(2, 3), width=(32, 48), heads=(2,), mlp_ratio=(1, 2))
CNN = MBConvSpace(width=((8, 12), (16,)), depth=(1, 2), expansion=(2,))
BOTH = UnionSpace([VIT, CNN])
COUNTS = CountTable()
CONSTANTS = {
    "carbon_intensity": Constant(360.0, "g/kWh", "made up"),
    "pue": Constant(1.25, "1", "made up"),
    "chip_price": Constant(3.6, "USD/h", "made up"),
}
TAILS = [(1.0, 1.2, 1.5), (1.1, 1.4, 2.0), (1.2, 1.6, 2.5)]
"""Of three networks of a certificate: median, 90 % and 99 % quantile over the predicted value."""

Save = Callable[..., BlockTable]


def certificate(errors: Sequence[float] = (-0.05, 0.0, 0.05), family: str = "vit") -> Certificate:
    """Networks that were predicted as 1 and took 1 / (1 + error), with the tails above."""
    measured = [
        Measured(str(i), family, 1.0, (1 / (1 + e),) * 2, TAILS[i % 3], 24)
        for i, e in enumerate(errors)
    ]
    return Certificate("2026-01-03", "seed", tuple(measured))


def entry(value: float) -> Entry:
    return Entry(value, value, value, value, value, value, 24)


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Keeps a table of a space whose blocks all cost the same."""

    def keep(
        space: SearchSpace = VIT,
        each: float = 1e-3,
        overhead: float = 5e-4,
        quantity: str = "latency_s",
        dtype: str = "fp16",
        batch: int = 1,
        certificate: Certificate | None = None,
        date: str = "2026-01-02",
        left_out: int = 0,
    ) -> BlockTable:
        blocks: list[Any] = list(space.blocks)[left_out:]
        if quantity == "decode_step_s":
            blocks = [block.decoding() for block in blocks]
        table = BlockTable(
            quantity=quantity,
            device=DEVICE,
            setting=Setting("fake", "1.0", dtype, batch, threads=0),
            space=space.name,
            digest=space_digest(space),
            overhead=entry(overhead),
            entries={block_key(block): entry(each) for block in blocks},
            conditions={"date": date},
            certificate=certificate,
        )
        name = f"{table.setting.name}.{quantity}.{table.digest}{date[-1]}{left_out}.json"
        table.save(tmp_path / name)
        return table

    return keep


@pytest.fixture
def pricer(tmp_path: Path) -> Callable[..., ProfilePricer]:
    """Prices by the tables that were kept."""

    def make(
        setting: str = "fake-fp16-b1",
        networks: SearchSpace | Architecture = VIT,
        constants: Mapping[str, Constant] = CONSTANTS,
        tables: Sequence[BlockTable] | None = None,
    ) -> ProfilePricer:
        profile = HardwareProfile("moon", tmp_path, DEVICE, constants)
        return ProfilePricer(profile, setting, COUNTS, families_of(networks), tables)

    return make


def drawn(space: SearchSpace, n: int = 12) -> tuple[Any, list[Architecture]]:
    codes = space.random_codes(n, np.random.default_rng(3))
    return codes, [space.decode(row) for row in codes]


def test_latency_is_the_sum_of_the_blocks(save: Save, pricer: Callable[..., ProfilePricer]) -> None:
    save(certificate=certificate())
    for network in drawn(VIT)[1]:
        value = pricer().price(network)["latency_s"]
        total = 5e-4 + 1e-3 * len(network)
        # The 95 % quantile of errors of 5, 0 and 5 % is 5 %.
        assert (value.low, value.value, value.high) == pytest.approx(
            (0.95 * total, total, 1.05 * total)
        )
        assert (value.provenance, value.at) == ("table", None)


def test_quantiles_are_the_latency_times_what_the_certificate_shows(
    save: Save, pricer: Callable[..., ProfilePricer]
) -> None:
    save(certificate=certificate(errors=(0.0, 0.0, 0.0)))
    (network, *_) = drawn(VIT)[1]
    values = pricer().price(network)
    total = 5e-4 + 1e-3 * len(network)
    # The middle of three factors; the ends of 95 % lie a twentieth of a step from the outer ones.
    for name, (low, middle, high) in {
        "latency_p50_s": (1.005, 1.1, 1.195),
        "latency_p90_s": (1.21, 1.4, 1.59),
        "latency_p99_s": (1.525, 2.0, 2.475),
    }.items():
        value = values[name]
        assert value.value == pytest.approx(middle * total)
        assert (value.low, value.high) == pytest.approx((low * total, high * total))


def test_without_a_certificate_there_are_no_quantiles_and_no_intervals(
    save: Save, pricer: Callable[..., ProfilePricer]
) -> None:
    save()
    made = pricer()
    assert "has no certificate" in made.reason("latency_p99_s")
    assert "latency_p99_s" not in made.names
    value = made.price(drawn(VIT)[1][0])["latency_s"]
    assert (value.low, value.high) == (None, None)
    assert made.probability("latency_s", drawn(VIT)[1][0], 1.0) is None


def test_carbon_and_money_are_of_one_query(
    save: Save, pricer: Callable[..., ProfilePricer]
) -> None:
    save(batch=64, each=8e-3, certificate=certificate())
    save(batch=64, each=2.0, overhead=1.0, quantity="energy_j", certificate=certificate((0.1,)))
    save(batch=64, each=3e-2, quantity="train_step_s")
    save(batch=64, each=5.0, overhead=0.0, quantity="train_energy_j")
    made = pricer("fake-fp16-b64")
    (network, *_) = drawn(VIT)[1]
    n, values = len(network), made.price(network)
    joules = 1.0 + 2.0 * n
    assert values["energy_j"].value == pytest.approx(joules)
    assert values["energy_j"].low == pytest.approx(0.9 * joules)
    # A 64th of the run, times the overhead of 1.25, in kWh of 360 g each.
    assert values["carbon_g"].value == pytest.approx(joules / 64 * 1.25 / 3.6e6 * 360)
    assert values["carbon_g"].high == pytest.approx(1.1 * values["carbon_g"].value)
    # 3.6 dollars an hour are a thousandth of one a second.
    seconds = 5e-4 + 8e-3 * n
    assert values["cost_usd"].value == pytest.approx(seconds / 64 * 1e-3)
    assert values["train_step_s"].value == pytest.approx(5e-4 + 3e-2 * n)
    assert values["train_cost_usd"].value == pytest.approx((5e-4 + 3e-2 * n) * 1e-3)
    assert values["train_energy_j"].value == pytest.approx(5.0 * n)


def test_throughput_is_that_of_the_best_batch(
    save: Save, pricer: Callable[..., ProfilePricer]
) -> None:
    (network, *_) = drawn(VIT)[1]
    n = len(network)
    for batch, each in ((1, 1e-3), (8, 2e-3), (64, 32e-3)):
        save(batch=batch, each=each, overhead=0.0, certificate=certificate())
    save(batch=512, each=1e-3, dtype="fp32", certificate=certificate())  # Another number format.
    for setting in ("fake-fp16-b1", "fake-fp16-b64"):
        value = pricer(setting).price(network)["throughput_per_s"]
        # 1000, 4000 and 2000 examples a second of each block.
        assert value.value == pytest.approx(4000 / n)
        assert value.at == "batch 8"
        assert (value.low, value.high) == pytest.approx((4000 / n / 1.05, 4000 / n / 0.95))


def test_throughput_is_of_a_batch_that_fits(
    save: Save, pricer: Callable[..., ProfilePricer]
) -> None:
    codes, networks = drawn(VIT)
    for batch in (1, 8, 64):
        save(batch=batch, each=1e-3, overhead=0.0)  # The larger the better.
    peaks = {b: [_peak(network, b, 2) for network in networks] for b in (8, 64)}
    memory = max(peaks[8])
    assert memory < min(peaks[64])
    limited = CONSTANTS | {"memory_bytes": Constant(memory, "bytes", "made up")}
    made = pricer(constants=limited)
    values = [made.price(network)["throughput_per_s"] for network in networks]
    assert {value.at for value in values} == {"batch 8"}
    assert [v.value for v in values] == pytest.approx([8e3 / len(n) for n in networks])
    assert made.price_codes(VIT, codes)["throughput_per_s"] == pytest.approx(
        [value.value for value in values]
    )
    tiny = CONSTANTS | {"memory_bytes": Constant(8.0, "bytes", "made up")}
    value = pricer(constants=tiny).price(networks[0])["throughput_per_s"]
    assert value.at == "batch 1, which does not fit"


def _peak(network: Architecture, batch: int, element_bytes: int) -> int:
    """Bytes at a number format's size, of what is counted at four."""
    return count(network, COUNTS, batch=batch).peak_memory_bytes * element_bytes // 4


@pytest.mark.parametrize(("dtype", "size"), [("fp32", 4), ("fp16", 2), ("bf16", 2), ("int8", 1)])
def test_peak_memory_follows_batch_and_number_format(
    save: Save, pricer: Callable[..., ProfilePricer], dtype: str, size: int
) -> None:
    save(batch=8, dtype=dtype)
    made = pricer(f"fake-{dtype}-b8")
    codes, networks = drawn(VIT)
    for network in networks:
        value = made.price(network)["device_peak_memory_bytes"]
        assert value.value == _peak(network, 8, size)
        assert (value.provenance, value.at) == ("predicted", f"batch 8, {dtype}")
    columns = made.price_codes(VIT, codes)
    assert columns["device_peak_memory_bytes"].tolist() == [_peak(n, 8, size) for n in networks]


def test_the_largest_batch_is_the_last_that_fits(
    save: Save, pricer: Callable[..., ProfilePricer]
) -> None:
    save()
    made = pricer(constants={"memory_bytes": Constant(3e8, "bytes", "made up")})
    for network in drawn(VIT)[1]:
        largest = made.price(network)["max_batch"].value
        assert _peak(network, int(largest), 2) <= 3e8 < _peak(network, int(largest) + 1, 2)
    # Without such a constant it is the whole memory of the device.
    assert pricer().memory_bytes == 8 * GIB


def test_what_a_profile_does_not_hold_is_not_available(
    save: Save, pricer: Callable[..., ProfilePricer]
) -> None:
    save(certificate=certificate())
    made = pricer(constants={})
    reasons = {
        "energy_j": "energy is not counted on moon",
        "train_energy_j": "energy is not counted on moon",
        "carbon_g": "energy is not counted on moon",
        "train_step_s": "train_step_s of vit was not measured on moon in fake-fp16-b1",
        "train_cost_usd": "train_step_s of vit was not measured on moon in fake-fp16-b1",
        "decode_step_s": "the networks of vit generate no text",
        "cost_usd": "the profile moon states no chip_price",
    }
    for name in DEVICE_INDICATORS:
        assert made.reason(name) == reasons.get(name, "")
    assert set(made.names) == set(DEVICE_INDICATORS) - reasons.keys()
    assert set(made.price(drawn(VIT)[1][0])) == set(made.names)


def test_energy_that_was_measured_in_another_setting_is_counted(
    save: Save, pricer: Callable[..., ProfilePricer]
) -> None:
    save()
    save(quantity="energy_j", batch=8)
    assert pricer().reason("energy_j") == "energy_j of vit was not measured on moon in fake-fp16-b1"


def test_a_step_of_generation_is_priced_by_the_blocks_that_it_runs(
    save: Save, pricer: Callable[..., ProfilePricer]
) -> None:
    space = SPACES["decoder"]()
    save(space, certificate=certificate(family="decoder"))
    save(space, each=1e-4, overhead=2e-5, quantity="decode_step_s")
    made = pricer(networks=space)
    codes, networks = drawn(space)
    expected = [2e-5 + 1e-4 * len(network) for network in networks]
    assert [made.price(n)["decode_step_s"].value for n in networks] == pytest.approx(expected)
    assert made.price_codes(space, codes)["decode_step_s"] == pytest.approx(expected)
    mixed = pricer(networks=UnionSpace([space, SPACES["encoder_decoder"]()]))
    assert mixed.reason("decode_step_s") == "the networks of encoder_decoder generate no text"


def test_each_family_is_priced_with_its_own_table(
    save: Save, pricer: Callable[..., ProfilePricer]
) -> None:
    save(VIT, each=1e-3, overhead=5e-4, certificate=certificate())
    save(CNN, each=3e-3, overhead=7e-4, certificate=certificate(family="mbconv"))
    made = pricer(networks=BOTH)
    codes, networks = drawn(BOTH, 40)
    assert {network.space for network in networks} == {"vit", "mbconv"}
    for network in networks:
        each, overhead = {"vit": (1e-3, 5e-4), "mbconv": (3e-3, 7e-4)}[network.space]
        value = made.price(network)["latency_s"]
        assert value.value == pytest.approx(overhead + each * len(network))
        assert value.provenance == "table"
    columns = made.price_codes(BOTH, codes)
    assert set(columns) == set(made.names)
    for row, network in enumerate(networks):
        for name, value in made.price(network).items():
            assert columns[name][row] == pytest.approx(value.value, rel=1e-12)
    assert {table.space for table in made.tables} == {"vit", "mbconv"}


def test_of_two_tables_the_one_that_holds_more_and_then_the_newer_counts(
    save: Save, pricer: Callable[..., ProfilePricer]
) -> None:
    (network, *_) = drawn(VIT)[1]
    save(each=9e-3, date="2026-01-04", left_out=3)
    save(each=1e-3, date="2026-01-02")
    save(each=2e-3, date="2026-01-03")
    made = pricer()
    assert made.price(network)["latency_s"].value == pytest.approx(5e-4 + 2e-3 * len(network))
    (table,) = made.tables
    assert table.conditions["date"] == "2026-01-03"


def test_tables_that_prices_come_from_are_named(
    save: Save, pricer: Callable[..., ProfilePricer]
) -> None:
    wanted = [save(certificate=certificate()), save(batch=64), save(each=1.0, quantity="energy_j")]
    save(dtype="fp32")
    save(each=1.0, batch=64, quantity="energy_j")
    found = {(table.setting.name, table.quantity) for table in pricer().tables}
    assert found == {(table.setting.name, table.quantity) for table in wanted}


def test_tables_may_be_given(save: Save, pricer: Callable[..., ProfilePricer]) -> None:
    old = save(each=4e-3, date="2026-01-01")
    save(each=1e-3, date="2026-01-02")
    (network, *_) = drawn(VIT)[1]
    made = pricer(tables=[old])
    assert made.price(network)["latency_s"].value == pytest.approx(5e-4 + 4e-3 * len(network))
    with pytest.raises(UnknownNameError, match=r"setting of profile moon .*Known: fake-fp16-b1\."):
        pricer("fake-fp32-b1", tables=[old])


def test_an_unknown_setting_lists_the_known_ones(
    save: Save, pricer: Callable[..., ProfilePricer]
) -> None:
    save()
    assert pricer("").setting.name == "fake-fp16-b1"
    with pytest.raises(UnknownNameError, match=r"Known: fake-fp16-b1\."):
        pricer("fake-fp16-b2")


def test_a_family_that_was_never_measured_is_predicted_and_says_so(
    save: Save, pricer: Callable[..., ProfilePricer]
) -> None:
    save(VIT, certificate=certificate())
    value = pricer(networks=CNN).price(drawn(CNN)[1][0])["latency_s"]
    assert value.provenance == "predicted"
    assert value.low is not None
    assert value.high is not None
    assert value.low < value.value < value.high


class TestProbability:
    """Of keeping to a budget, from a certificate's four errors of -10, 0, 10 and 20 %."""

    @pytest.fixture
    def made(self, save: Save, pricer: Callable[..., ProfilePricer]) -> ProfilePricer:
        known = certificate(errors=(-0.1, 0.0, 0.1, 0.2))
        for batch in (1, 8):
            save(batch=batch, overhead=0.0, certificate=known)
        save(each=2.0, overhead=0.0, quantity="energy_j", certificate=known)
        return pricer()

    @pytest.fixture
    def network(self) -> Architecture:
        return drawn(VIT)[1][0]

    @pytest.mark.parametrize(
        ("share", "kept"), [(0.8, 0), (0.85, 1), (0.95, 2), (1.05, 3), (1.2, 4)]
    )
    def test_the_share_of_errors_that_leave_it_below(
        self, made: ProfilePricer, network: Architecture, share: float, kept: int
    ) -> None:
        # What is predicted as 1 takes 1 / 0.9 = 1.11, 1, 0.91 or 0.83; half a network each side.
        expected = (kept + 0.5) / 5
        latency, energy = 1e-3 * len(network), 2.0 * len(network)
        assert made.probability("latency_s", network, share * latency) == expected
        assert made.probability("energy_j", network, share * energy) == expected
        carbon = energy * 1.25 / 3.6e6 * 360
        assert made.probability("carbon_g", network, share * carbon) == expected
        # Of throughput a budget is the least: eight examples at once take as long as one.
        rate = 8 / latency
        assert made.probability("throughput_per_s", network, rate / share) == expected

    @pytest.mark.parametrize(("share", "kept"), [(1.49, 0), (1.51, 2), (2.01, 3), (2.51, 4)])
    def test_a_quantile_is_held_against_the_quantiles(
        self, made: ProfilePricer, network: Architecture, share: float, kept: int
    ) -> None:
        # The 99 % quantiles of the four are 1.5, 2, 2.5 and 1.5 times what was predicted.
        limit = share * 1e-3 * len(network)
        assert made.probability("latency_p99_s", network, limit) == (kept + 0.5) / 5

    @pytest.mark.parametrize("name", COUNTED)
    def test_what_is_counted_is_known(
        self, made: ProfilePricer, network: Architecture, name: str
    ) -> None:
        value = made.price(network)[name].value
        below, above = (made.probability(name, network, f * value) for f in (0.9, 1.1))
        assert (below, above) == ((1.0, 0.0) if name == "max_batch" else (0.0, 1.0))
        assert made.probability(name, network, value) == 1.0

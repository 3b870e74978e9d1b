"""Footprints worked by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.footprint import (
    STRUBELL_INTENSITY,
    STRUBELL_PUE,
    Assumption,
    BreakEven,
    Footprint,
    Share,
    Tariff,
    Workload,
    break_even_queries,
    footprint,
)
from search_spaces import UnknownNameError

TARIFF = Tariff(
    Assumption(400, "g/kWh", "for this test"),
    Assumption(1.25, "1", "for this test"),
    Assumption(7.2, "USD/h", "for this test"),
)


def test_training_and_inference_by_hand() -> None:
    """Training: two chips of 7.2 MJ are 14.4 MJ, at the meter 18 MJ or 5 kWh, and 2 kg; ten hours
    of two chips cost 144 USD. A query: 1.44 J, at the meter 1.8 J, and 0.2 mg; 5 ms cost 10 µUSD.
    """
    workload = Workload(query_s=0.005, query_energy_j=1.44, train_s=36_000, train_energy_j=7.2e6)
    life = footprint(workload, queries=3_000_000, tariff=TARIFF, chips=2)
    assert life.training == Share(72_000, 18e6, 2_000.0, 144.0)
    query = life.query
    assert query.energy_j == pytest.approx(1.8)
    assert query.carbon_g == pytest.approx(2e-4)
    assert query.cost_usd == pytest.approx(1e-5)
    inference = life.inference
    assert inference.chip_s == pytest.approx(15_000)
    assert inference.energy_j == pytest.approx(5.4e6)
    assert inference.carbon_g == pytest.approx(600)
    assert inference.cost_usd == pytest.approx(30)
    total = life.total
    assert total.chip_s == pytest.approx(87_000)
    assert total.energy_j == pytest.approx(23.4e6)
    assert total.carbon_g == pytest.approx(2_600)
    assert total.cost_usd == pytest.approx(174)
    assert life.elapsed_s == pytest.approx(43_500)


def test_bert_of_strubell() -> None:
    """Table 3 of the paper: BERT base on 64 V100 at 12041.51 W together for 79 h has 1507 kWh and
    1438 lb of CO2e, overhead included; its hours are rounded."""
    per_chip_j = 12_041.51 / 64 * 79 * 3600
    life = footprint(
        Workload(0.0, 0.0, train_s=79 * 3600, train_energy_j=per_chip_j),
        queries=0,
        tariff=Tariff(),
        chips=64,
    )
    assert life.total.energy_j is not None
    assert life.total.energy_j / 3.6e6 == pytest.approx(1507, abs=5)
    assert life.total.carbon_g is not None
    assert life.total.carbon_g / 453.59237 == pytest.approx(1438, abs=5)
    assert life.total.cost_usd is None


def test_strubells_intensity_is_what_the_paper_has_in_pounds() -> None:
    assert pytest.approx(0.954 * 453.59237, abs=0.05) == STRUBELL_INTENSITY.value
    assert STRUBELL_PUE.value == 1.58


def test_what_is_not_known_stays_unknown() -> None:
    life = footprint(Workload(0.01, None, 100.0, 50.0), queries=10, tariff=TARIFF)
    assert life.training.energy_j == 62.5
    assert life.query.energy_j is None
    assert life.query.carbon_g is None
    assert life.total.energy_j is None
    assert life.inference.carbon_g is None
    assert life.total.cost_usd == pytest.approx(100.1 / 3600 * 7.2)
    free = footprint(Workload(0.01, 1.0), queries=10, tariff=replace(TARIFF, chip_price=None))
    assert free.total.cost_usd is None
    assert free.total.energy_j == pytest.approx(12.5)
    unknown = footprint(Workload(0.01, 1.0, 5.0, None), queries=10, tariff=TARIFF)
    assert unknown.training.carbon_g is None
    assert unknown.inference.energy_j == pytest.approx(12.5)


def test_more_chips_serve_sooner_at_the_same_cost() -> None:
    one, four = (
        footprint(Workload(0.01, 2.0), queries=1e6, tariff=TARIFF, chips=n) for n in (1, 4)
    )
    assert one.total == four.total
    assert one.elapsed_s == pytest.approx(1e4)
    assert four.elapsed_s == pytest.approx(2.5e3)


def life(train: float, query: float, queries: float = 1.0) -> Footprint:
    """A footprint whose energy is as given."""
    tariff = replace(TARIFF, pue=Assumption(1.0, "1", "for this test"))
    return footprint(Workload(query, query, train, train), queries=queries, tariff=tariff)


class TestBreakEven:
    def test_cheaper_query_pays_for_dearer_training(self) -> None:
        """1000 + 2 q = 400 + 5 q at q = 200."""
        a, b = life(1000, 2), life(400, 5)
        assert break_even_queries(a, b, "energy_j") == BreakEven(pytest.approx(200), "b", "a")
        assert break_even_queries(b, a, "energy_j") == BreakEven(pytest.approx(200), "a", "b")

    def test_same_number_whatever_their_own_queries(self) -> None:
        a, b = life(1000, 2, queries=0), life(400, 5, queries=1e9)
        for quantity in ("chip_s", "energy_j", "carbon_g", "cost_usd"):
            found = break_even_queries(a, b, quantity)  # type: ignore[arg-type]
            assert found == BreakEven(pytest.approx(200), "b", "a")

    @pytest.mark.parametrize(
        ("a", "b", "less"),
        [
            ((1, 1), (2, 2), "a"),
            ((2, 2), (1, 1), "b"),
            ((1, 2), (1, 3), "a"),
            ((1, 3), (1, 2), "b"),
            ((5, 2), (1, 2), "b"),
            ((0, 2), (1, 2), "a"),
            ((3, 2), (3, 2), "same"),
            ((0, 0), (0, 0), "same"),
        ],
    )
    def test_none_where_lines_do_not_cross(
        self, a: tuple[float, float], b: tuple[float, float], less: str
    ) -> None:
        assert break_even_queries(life(*a), life(*b)) == BreakEven(None, less, less)

    def test_on_different_chips_each_has_its_own_tariff(self) -> None:
        """Money: 3600 s at 2 USD/h and 18 s a query, against none and 9 s at 6 USD/h:
        2 + 0.01 q = 0.015 q at q = 400."""
        cheap = replace(TARIFF, chip_price=Assumption(2, "USD/h", "for this test"))
        dear = replace(TARIFF, chip_price=Assumption(6, "USD/h", "for this test"))
        a = footprint(Workload(18.0, None, 3600.0), queries=0, tariff=cheap)
        b = footprint(Workload(9.0, None), queries=0, tariff=dear)
        found = break_even_queries(a, b, "cost_usd")
        assert found == BreakEven(pytest.approx(400), "b", "a")

    @given(*[st.floats(0.001, 1e6)] * 4)
    def test_totals_are_equal_there_and_ordered_on_either_side(
        self, train_a: float, query_a: float, train_b: float, query_b: float
    ) -> None:
        found = break_even_queries(life(train_a, query_a), life(train_b, query_b), "energy_j")
        at = 1.0 if found.queries is None else found.queries

        def totals(queries: float) -> tuple[float, float]:
            both = (life(train_a, query_a, queries), life(train_b, query_b, queries))
            a, b = (one.total.energy_j for one in both)
            assert a is not None
            assert b is not None
            return a, b

        for times, less in ((0.5, found.below), (2.0, found.above)):
            a, b = totals(times * at)
            close = pytest.approx(b, rel=1e-9)
            assert a == close or (a < b) == (less == "a")
        if found.queries is not None:
            a, b = totals(at)
            assert a == pytest.approx(b, rel=1e-6)

    def test_unknown_quantities_are_refused(self) -> None:
        known = life(1, 1)
        other = footprint(Workload(1.0, None), queries=1, tariff=replace(TARIFF, chip_price=None))
        with pytest.raises(ValueError, match="`carbon_g` must be known of both; it is not of `b`"):
            break_even_queries(known, other)
        with pytest.raises(ValueError, match="`cost_usd` must be known of both; it is not of `a`"):
            break_even_queries(other, known, "cost_usd")
        with pytest.raises(UnknownNameError, match="carbon_g"):
            break_even_queries(known, known, "carbon_kg")  # type: ignore[arg-type]


class TestBadInput:
    @pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), True, "3"])
    def test_numbers(self, value: float) -> None:
        with pytest.raises(ValueError, match="`value` must be a number, 0 or more"):
            Assumption(value, "1", "for this test")
        for name in ("query_s", "query_energy_j", "train_s", "train_energy_j"):
            with pytest.raises(ValueError, match=f"`{name}` must be a number, 0 or more"):
                replace(Workload(1.0, 1.0), **{name: value})
        with pytest.raises(ValueError, match="`queries` must be a number, 0 or more"):
            footprint(Workload(1.0, 1.0), queries=value, tariff=TARIFF)

    @pytest.mark.parametrize("chips", [0, -1, 1.5, True])
    def test_chips(self, chips: int) -> None:
        with pytest.raises(ValueError, match="`chips` must be a whole number above 0"):
            footprint(Workload(1.0, 1.0), queries=1, tariff=TARIFF, chips=chips)

    def test_overhead_below_one(self) -> None:
        with pytest.raises(ValueError, match=r"`pue` must be at least 1, .* got 0\.9"):
            replace(TARIFF, pue=Assumption(0.9, "1", "for this test"))

    @pytest.mark.parametrize(
        ("name", "unit"),
        [("carbon_intensity", "kg/kWh"), ("pue", "%"), ("chip_price", "EUR/h")],
    )
    def test_units(self, name: str, unit: str) -> None:
        with pytest.raises(ValueError, match=rf"`{name}` must be in .*; got '{unit}'"):
            replace(TARIFF, **{name: Assumption(2, unit, "for this test")})

    def test_sources(self) -> None:
        with pytest.raises(ValueError, match="`source` of 2 1 is empty"):
            Assumption(2, "1", " ")

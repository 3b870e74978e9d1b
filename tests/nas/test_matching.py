"""The best model of each family at equal cost, and when a match is unfair."""

from dataclasses import replace

import numpy as np
import pytest

from nas.errors import ExperimentError
from nas.matching import MatchRequest, match_families
from nas.model_table import ModelTable
from nas.tolerance import Tolerance
from nas.unfair_matches import unfair_match

NAN = float("nan")


def table(rows: list[tuple[str, str, float, float, float]], **changes: object) -> ModelTable:
    """Models with a family, an accuracy, params and a rate."""
    given: dict[str, object] = {
        "names": tuple(row[0] for row in rows),
        "quality": "accuracy",
        "scores": np.array([row[2] for row in rows]),
        "indicators": ("params", "rate"),
        "values": np.array([row[3:] for row in rows]),
        "maximized": frozenset({"accuracy", "rate"}),
        "families": tuple(row[1] for row in rows),
    }
    return ModelTable(**(given | changes))  # type: ignore[arg-type]


# At 100 params the deep family is better, at a rate of 1,000 the wide one.
ROWS = [
    ("d1", "deep", 80.0, 100.0, 200.0),
    ("d2", "deep", 70.0, 80.0, 1000.0),
    ("d3", "deep", 90.0, 101.0, 100.0),
    ("w1", "wide", 75.0, 90.0, 900.0),
    ("w2", "wide", 78.0, 400.0, 1200.0),
    ("w3", "wide", 60.0, 50.0, 9000.0),
]


def test_the_winner_changes_with_what_is_equal() -> None:
    models = table(ROWS)
    (params,) = match_families(models, ["params"], {"params": 100})
    assert params.winner == "deep"
    assert [(m.family, m.model, m.score) for m in params.models] == [
        ("deep", "d1", 80), ("wide", "w1", 75),
    ]  # fmt: skip
    assert params.models[0].costs == {"params": 100, "rate": 200}
    # At least 1,000 images a second: at most their time, and down to three quarters of it.
    (rate,) = match_families(models, ["rate"], {"rate": 1000})
    assert rate.winner == "wide"
    assert [m.model for m in rate.models] == ["w2", "d2"]
    assert rate.levels == {"rate": pytest.approx(1000)}


def test_far_below_the_level_is_not_equal() -> None:
    models = table([("a", "x", 99, 10, 1), ("b", "x", 50, 75, 1), ("c", "y", 60, 74.9, 1)])
    (found,) = match_families(models, ["params"], {"params": 100}, slack=0.25)
    assert [m.model for m in found.models] == ["b"]
    assert found.absent == ("y",)
    assert found.winner is None
    (loose,) = match_families(models, ["params"], {"params": 100}, slack=0.95)
    assert [m.model for m in loose.models] == ["a", "c"]


def test_several_costs_are_equal_at_once() -> None:
    models = table(ROWS)
    (both,) = match_families(models, ["params", "rate"], {"params": 100, "rate": 1000})
    assert [(m.family, m.model) for m in both.models] == [("deep", "d2")]
    (wider,) = match_families(models, ["params", "rate"], {"params": 100, "rate": 880})
    assert [(m.family, m.model) for m in wider.models] == [("wide", "w1"), ("deep", "d2")]


def test_levels_are_quartiles_of_what_all_families_reach() -> None:
    rows = [(f"x{i}", "x", 50.0, float(i), 1.0) for i in range(1, 102)]
    rows += [("y1", "y", 50.0, 21.0, 1.0), ("y2", "y", 50.0, 61.0, 1.0)]
    # Both families reach from 21 to 61, where there are 43 costs.
    levels = [match.levels["params"] for match in match_families(table(rows), ["params"])]
    assert levels == pytest.approx([30, 41, 51])


def test_families_that_do_not_meet_have_no_winner() -> None:
    models = table([("a", "x", 1, 1, 1), ("b", "y", 2, 100, 1)])
    assert [match.winner for match in match_families(models, ["params"])] == [None] * 3


def test_a_difference_within_the_error_is_a_tie() -> None:
    rows = [("a", "x", 80.0, 90, 1), ("b", "y", 79.8, 90, 1), ("c", "z", 79.0, 90, 1)]
    noisy = {"accuracy": Tolerance(0.2, relative=False)}
    (found,) = match_families(table(rows, tolerances=noisy), ["params"], {"params": 100})
    assert (found.winner, found.ties) == ("x", ("y",))
    (exact,) = match_families(table(rows), ["params"], {"params": 100})
    assert exact.ties == ()


def test_models_without_a_quality_or_the_cost_are_left_out() -> None:
    rows = [
        ("a", "x", NAN, 90, 1), ("b", "x", 50, 90, NAN), ("c", "y", 60, NAN, 1),
        ("d", "y", 40, 95, 1),
    ]  # fmt: skip
    (found,) = match_families(table(rows), ["params"], {"params": 100})
    assert [m.model for m in found.models] == ["b", "d"]
    assert found.to_json()["models"][0]["costs"] == {"params": 90, "rate": None}


def test_less_error_wins() -> None:
    rows = [("a", "x", 0.3, 90, 1), ("b", "y", 0.2, 90, 1)]
    error = table(rows, maximized=frozenset({"rate"}))
    assert match_families(error, ["params"], {"params": 100})[0].winner == "y"


def test_a_request_matches_on_each_and_on_all() -> None:
    request = MatchRequest.parse("params, rate", ["params=100", "rate=880"])
    assert request == MatchRequest(("params", "rate"), {"params": 100, "rate": 880})
    found = request.of(table(ROWS))
    assert [match.indicators for match in found] == [("params",), ("rate",), ("params", "rate")]
    assert found[2].winner == "wide"
    assert len(MatchRequest.parse("params", []).of(table(ROWS))) == 3
    assert MatchRequest.parse(None, []).of(table(ROWS)) == ()


@pytest.mark.parametrize(
    ("match", "at", "slack", "message"),
    [
        ("params", ["params"], 0.2, "--at takes NAME=NUMBER"),
        ("params", ["params=many"], 0.2, "--at takes NAME=NUMBER"),
        ("params", ["rate=1"], 0.2, "a level of rate, which is not matched on"),
        (None, ["rate=1"], 0.2, "a level of rate, which is not matched on"),
        ("params", [], 1.0, "slack of a match must be between"),
        ("params", [], 0.0, "slack of a match must be between"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    match: str | None, at: list[str], slack: float, message: str
) -> None:
    with pytest.raises(ExperimentError, match=message):
        MatchRequest.parse(match, at, slack)


def test_a_match_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(ExperimentError, match="at least two; got none"):
        match_families(table(ROWS, families=()), ["params"])
    with pytest.raises(ExperimentError, match="at least two; got deep"):
        match_families(table(ROWS[:3]), ["params"])
    with pytest.raises(ExperimentError, match="`flops` is none of the costs"):
        match_families(table(ROWS), ["flops"])
    with pytest.raises(ExperimentError, match="level above 0 is missing of rate"):
        match_families(table(ROWS), ["params", "rate"], {"params": 1, "rate": 0})


class TestUnfair:
    def models(self, family: str, name: str = "b") -> ModelTable:
        """Two models of equal params and MACs."""
        return ModelTable(
            ("a", name), "q", np.zeros(2), ("params_m", "gmacs", "latency_ms"),
            np.array([[100.0, 1.0, 5.0], [100.0, 1.0, 5.0]]), frozenset(), ("dense", family),
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("family", "kind"),
        [
            ("sparse ViT", "sparse"), ("universal", "tied"), ("vit_tied", "tied"),
            ("moe", "a mixture of experts"), ("Switch-8", "a mixture of experts"),
        ],
    )  # fmt: skip
    def test_a_family_that_uses_parameters_otherwise(self, family: str, kind: str) -> None:
        models, rows = self.models(family), np.array([0, 1])
        (params,) = unfair_match(models, ["params_m"], rows)
        assert params.startswith("Equal parameters are not equal compute")
        assert params.endswith(f"once each by b ({kind}).")
        (compute,) = unfair_match(models, ["gmacs"], rows)
        assert compute.startswith("Equal compute is not equal capacity")
        assert len(unfair_match(models, ["gmacs", "params_m"], rows)) == 2
        assert unfair_match(models, ["latency_ms"], rows) == ()

    def test_names_and_strata_tell_it_too(self) -> None:
        rows = np.array([0, 1])
        assert unfair_match(self.models("vit", "vit-moe-8e"), ["params_m"], rows)
        told = replace(self.models("vit"), strata={"kind": ("dense", "sparse 90")})
        assert unfair_match(told, ["params_m"], rows)
        assert unfair_match(self.models("vit"), ["params_m"], rows) == ()
        # Words, not letters: a modem and a sparsely named thing are no mixture of experts.
        assert unfair_match(self.models("modem", "remoel"), ["params_m"], rows) == ()

    @pytest.mark.parametrize(
        ("names", "kind"),
        [(("params", "active_params"), "experts"), (("macs", "effective_macs"), "sparse")],
    )
    def test_indicators_tell_it(self, names: tuple[str, str], kind: str) -> None:
        models = ModelTable(
            ("a", "b"), "q", np.zeros(2), names, np.array([[100.0, 100.0], [100.0, 40.0]])
        )
        found = unfair_match(models, [names[0]], np.array([0, 1]))
        assert any("by b (" in text and kind in text for text in found)

    def test_compute_far_apart_at_equal_params(self) -> None:
        models = replace(
            self.models("vit"), values=np.array([[100.0, 1.0, 5.0], [100.0, 83.0, 5.0]])
        )
        (found,) = unfair_match(models, ["params_m"], np.array([0, 1]))
        assert found == "At equal parameters b has 83 times the gmacs of a."
        near = replace(models, values=np.array([[100.0, 1.0, 5.0], [100.0, 3.0, 5.0]]))
        assert unfair_match(near, ["params_m"], np.array([0, 1])) == ()

    def test_capacity_far_apart_at_equal_compute(self) -> None:
        models = replace(
            self.models("vit"), values=np.array([[86.6, 17.6, 5.0], [8.66, 17.6, 5.0]])
        )
        (found,) = unfair_match(models, ["gmacs"], np.array([0, 1]))
        assert found.startswith("The capacity of some is crippled: at equal compute a has 10 times")
        assert unfair_match(models, ["gmacs"], np.array([0])) == ()

    def test_what_is_equal_too_is_not_far_apart(self) -> None:
        models = replace(
            self.models("vit"), values=np.array([[100.0, 1.0, 5.0], [10.0, 83.0, 5.0]])
        )
        rows = np.array([0, 1])
        assert len(unfair_match(models, ["params_m"], rows)) == 1
        assert unfair_match(models, ["params_m", "gmacs"], rows) == ()

    def test_one_model_is_no_match(self) -> None:
        assert unfair_match(self.models("universal"), ["params_m"], np.array([1])) == ()

    @pytest.mark.filterwarnings("error")
    def test_what_is_not_known_is_not_told_of(self) -> None:
        models = replace(self.models("vit"), values=np.array([[100.0, NAN, 5.0]] * 2))
        assert unfair_match(models, ["params_m"], np.array([0, 1])) == ()

    def test_a_match_carries_its_warnings(self) -> None:
        models = table(
            [("a", "dense", 80, 95, 1), ("b", "universal", 85, 95, 1)],
        )
        (found,) = match_families(models, ["params"], {"params": 100})
        assert "b (tied)" in found.warnings[0]
        assert found.to_json()["warnings"] == list(found.warnings)

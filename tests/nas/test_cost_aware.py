"""The search that knows the costs: its parts by hand, and the whole on problems made here."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import kendalltau, norm

from nas import quality_model
from nas.candidate_pool import CandidatePool, children
from nas.cost_aware import CostAwareSearch
from nas.errors import ExperimentError
from nas.expected_improvement import Box, Sampled, expected_gains, pick_batch, sample_points
from nas.function_problem import FunctionProblem
from nas.quality_model import Belief, QualityModel
from nas.steered_problem import SteeredProblem
from predictors.gaussian_process import GaussianProcess, Kernel

CHOICES = {"depth": [1, 2, 3, 4, 6, 8], "width": [16, 32, 48, 64, 96, 128], "kind": ["a", "b", "c"]}
FACTOR = {"a": 1.0, "b": 1.5, "c": 3.0}


def macs(config: dict[str, object]) -> dict[str, float]:
    depth, width, kind = config["depth"], config["width"], config["kind"]
    assert isinstance(depth, int)
    assert isinstance(width, int)
    assert isinstance(kind, str)
    return {"macs": depth * width**2 * FACTOR[kind], "latency": depth + width / 64}


def error(problem: FunctionProblem, codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Falls with depth and width, and by an amount for each kind."""
    rows = []
    for row in codes:
        depth, width, kind = (c[i] for c, i in zip(problem.parameters.values(), row, strict=True))
        rows.append(1 / depth + 8 / width + {"a": 0.3, "b": 0.05, "c": 0.0}[kind])
    return np.array(rows)


@pytest.fixture
def problem() -> FunctionProblem:
    return FunctionProblem(CHOICES, macs)


def likeness(row: int) -> NDArray[np.float64]:
    """Of no candidate with any other."""
    return np.zeros(3)


class TestExpectedImprovement:
    """Against integrals worked out by another method."""

    BOX = Box(np.array([0.0]), np.array([1.0]), 1.0)
    FRONT = np.array([[0.4, 0.5]])

    @pytest.mark.parametrize("cost", [0.2, 0.7, 0.95])
    @pytest.mark.parametrize("promising", [[], [0.2, 0.7, 0.95], [0.9]])
    def test_improvement_is_the_integral(self, cost: float, promising: list[float]) -> None:
        rng, belief = np.random.default_rng(1), Belief(np.array([0.35]), np.array([0.2]))
        above = np.array(promising).reshape(-1, 1)
        believed = Belief(np.full(len(above), 0.35), np.full(len(above), 0.2))
        sampled = sample_points(self.BOX, above, believed, self.FRONT, 40_000, rng)
        gains = expected_gains(np.array([[cost]]), belief, sampled)

        def better(by: float) -> float:
            return float(quad(lambda q: (by - q) * norm.pdf(q, 0.35, 0.2), -2, by)[0])

        # Up to a cost of 0.5 anything below 1 is better; then it must be better than 0.4.
        expected = max(0.5 - cost, 0) * better(1.0) + (1 - max(cost, 0.5)) * better(0.4)
        assert float((gains @ sampled.weights)[0]) == pytest.approx(expected, rel=0.08)

    def test_thresholds_are_the_best_quality_at_no_more_cost(self) -> None:
        rng = np.random.default_rng(0)
        front = np.array([[0.4, 0.5], [0.2, 0.8], [3.0, 0.1]])
        none = Belief(np.empty(0), np.empty(0))
        sampled = sample_points(self.BOX, np.empty((0, 1)), none, front, 500, rng)
        cost = sampled.costs[:, 0]
        expected = np.where(cost >= 0.8, 0.2, np.where(cost >= 0.5, 0.4, 1.0))
        assert sampled.threshold == pytest.approx(expected)
        assert sampled.weights.sum() == pytest.approx(1.0, rel=0.02)

    def test_more_costs_are_sampled_where_something_improves(self) -> None:
        rng, belief = np.random.default_rng(0), Belief(np.array([0.39]), np.array([0.001]))
        sampled = sample_points(self.BOX, np.array([[0.9]]), belief, self.FRONT, 2_000, rng)
        assert (sampled.costs[:, 0] >= 0.9).mean() > 0.8

    def test_batch_counts_what_is_still_free(self) -> None:
        points = Sampled(np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 1.0, 0.0]), np.ones(3))
        costs, sure = np.array([[1.0], [1.5], [3.0]]), np.full(3, 1e-6)
        belief = Belief(np.array([0.0, 0.0, -0.5]), sure)
        # Alone the second is better than the third; after the first nothing of it is left.
        assert pick_batch(costs, belief, points, 2, likeness) == [0, 2]
        assert pick_batch(costs, belief, points, 3, likeness)[:2] == [0, 2]

    def test_a_batch_does_not_hold_what_is_alike(self) -> None:
        points = Sampled(np.array([[1.0]]), np.array([0.0]), np.ones(1))
        costs = np.ones((3, 1))
        belief = Belief(np.array([0.0, 0.0, 0.1]), np.ones(3))

        def same(row: int) -> NDArray[np.float64]:
            alike = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
            return alike[row]

        assert pick_batch(costs, belief, points, 2, same)[1] == 2
        assert pick_batch(costs, belief, points, 2, likeness)[1] == 1

    def test_costs_decide_whether_a_point_is_dominated(self) -> None:
        points = Sampled(np.array([[1.0, 2.0], [2.0, 1.0]]), np.zeros(2), np.ones(2))
        belief = Belief(np.array([0.0, -50.0]), np.ones(2))
        gains = expected_gains(np.array([[1.0, 1.0], [2.0, 0.5]]), belief, points)
        # A normal deviate is below 0 by 1 / sqrt(2 pi) on average.
        assert gains == pytest.approx(np.array([[0.39894, 0.39894], [0.0, 50.0]]), abs=1e-4)


class TestQualityModel:
    @pytest.mark.parametrize("most", [800, 10])
    def test_covariance_is_of_the_belief(self, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(quality_model, "MOST_CONDITIONED", most)
        rng = np.random.default_rng(5)
        features = rng.normal(size=(60, 3))
        model = QualityModel(features, 20).fit(features[:40], features[:40].sum(axis=1))
        own = model.covariance(features[40:], features[40])
        spread = model.predict(features[40:]).spread
        assert own[0] <= spread[0] ** 2 * (1 + 1e-6)
        assert own[0] == pytest.approx(spread[0] ** 2, rel=0.5)  # But for the noise.
        assert (np.abs(own) <= spread * spread[0] * (1 + 1e-6)).all()

    def test_units_are_robust_and_bad_values_grow_slowly(self) -> None:
        rng = np.random.default_rng(0)
        features, quality = rng.normal(size=(40, 2)), np.append(rng.normal(5, 1, 39), 1e6)
        model = QualityModel(features, len(quality)).fit(features, quality)
        scaled = model.scaled(quality)
        assert scaled.max() < 20
        assert (np.diff(model.scaled(np.linspace(-10, 100, 500))) > 0).all()

    @pytest.mark.parametrize("most", [800, 50])
    def test_ranks_of_a_smooth_function_are_learned(
        self, most: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(quality_model, "MOST_CONDITIONED", most)
        rng = np.random.default_rng(2)
        features = rng.random((260, 4))
        quality = np.sin(3 * features[:, 0]) + features[:, 1] ** 2 + rng.normal(0, 0.01, 260)
        model = QualityModel(features, 20).fit(features[:60], quality[:60])
        belief = model.predict(features[60:])
        assert kendalltau(belief.mean, quality[60:]).statistic > (0.85 if most > 60 else 0.6)
        assert (belief.spread > 0).all()

    @pytest.mark.parametrize(
        ("times", "low", "high"), [(1.0, 0.85, 1.0), (4.0, 0.4, 0.85), (0.25, 1.0, 1.0)]
    )
    def test_spreads_too_wide_for_the_evaluations_are_narrowed(
        self, times: float, low: float, high: float
    ) -> None:
        """Draws of a process, known to one whose variances are so many times as large."""
        rng, narrowed = np.random.default_rng(7), []
        for _ in range(100):
            inputs = rng.normal(size=(30, 4))
            true = Kernel(1.0, 0.1, 1.0, (2.0,) * 4, 0.05)
            covariance = true(inputs, inputs) + true.noise * np.eye(30)
            targets = rng.multivariate_normal(np.zeros(30), covariance)
            parts = times * np.array([true.offset, true.linear, true.amplitude, true.noise])
            taken = Kernel(*parts[:3].tolist(), true.lengths, float(parts[3]))
            process = GaussianProcess(taken, inputs, targets, np.zeros(30))
            narrowed.append(quality_model._narrowing(process))
        assert low <= np.quantile(narrowed, 0.05)
        assert np.quantile(narrowed, 0.95) <= high
        if times == 1.0:  # Right ones are seldom narrowed.
            assert np.mean(np.array(narrowed) < 1) < 0.12

    def test_belief_is_narrowed_alike(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rng = np.random.default_rng(9)
        features = rng.normal(size=(40, 3))
        quality, found = features.sum(axis=1), []
        for narrowing in (1.0, 0.5):
            monkeypatch.setattr(quality_model, "_narrowing", lambda _, n=narrowing: n)
            model = QualityModel(features, 20).fit(features[:20], quality[:20])
            found.append((model.predict(features[20:]), model.covariance(features, features[30])))
        (wide, across), (narrow, less) = found
        assert narrow.mean == pytest.approx(wide.mean)
        assert narrow.spread == pytest.approx(np.maximum(0.5 * wide.spread, 1e-4))
        assert less == pytest.approx(0.25 * across)

    def test_known_errors_are_taken_off(self) -> None:
        """Of forty evaluations ten are far off by luck; told so, what is believed is not."""
        rng = np.random.default_rng(10)
        features = rng.normal(size=(240, 3))
        true = features @ np.array([1.0, 0.5, 0.2])
        errors = np.where(np.arange(40) < 10, 0.8, 0.01)
        quality = true[:40] + errors * rng.normal(size=40)
        off = []
        for known in (None, errors):
            model = QualityModel(features, 40).fit(features[:40], quality, known)
            belief = model.predict(features[40:])
            of_evaluated = np.abs(model.known() - model.scaled(true[:40]))[:10].mean()
            of_others = np.abs(belief.mean - model.scaled(true[40:])).mean()
            off.append((of_evaluated, of_others, belief.spread.mean()))
        assert (np.array(off[1]) < 0.5 * np.array(off[0])).all()

    def test_an_error_stated_too_large_makes_nothing_sure(self) -> None:
        """The truth of others stays within what is believed of it."""
        rng = np.random.default_rng(12)
        features = rng.normal(size=(260, 3))
        true = features @ np.array([1.0, 0.5, 0.2])
        quality = true[:60] + 0.1 * rng.normal(size=60)
        for stated in (0.1, 1.0, 20.0):
            model = QualityModel(features, 60).fit(features[:60], quality, np.full(60, stated))
            belief = model.predict(features[60:])
            away = (model.scaled(true[60:]) - belief.mean) / belief.spread
            assert np.sqrt((away**2).mean()) < 1.2

    def test_known_noise_is_no_more_than_what_was_fitted(self) -> None:
        kernel = Kernel(1.0, 0.1, 1.0, (2.0,), 0.09)
        for stated, share in (([0.02, 0.04], 1.0), ([0.12, 0.24], 0.5), ([0.0, 0.0], 1.0)):
            rest, known = quality_model._known_apart(kernel, np.array(stated))
            assert known.tolist() == pytest.approx([share * each for each in stated])
            assert rest.noise + known.mean() == pytest.approx(0.09)
            assert (rest.linear, rest.amplitude, rest.lengths) == (0.1, 1.0, (2.0,))

    def test_an_evaluation_that_is_hardly_known_leaves_the_others_their_noise(self) -> None:
        kernel = Kernel(1.0, 0.1, 1.0, (2.0,), 0.09)
        stated = np.append(np.full(999, 0.04), np.inf)
        rest, known = quality_model._known_apart(kernel, stated)
        assert known[:-1] == pytest.approx(np.full(999, 0.04))
        assert known[-1] > 1
        assert 0 <= rest.noise < 0.09

    def test_trees_take_known_errors_off_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(quality_model, "MOST_CONDITIONED", 10)
        rng = np.random.default_rng(13)
        features = rng.normal(size=(300, 2))
        true, errors = features.sum(axis=1), np.where(np.arange(300) % 2, 1.0, 0.0)
        quality = true + errors * rng.normal(size=300)
        model = QualityModel(features, 300).fit(features, quality, errors)
        scaled, found = model.scaled(true), model.known()
        noisy = errors > 0
        assert found[~noisy] == pytest.approx(model.scaled(quality[~noisy]))
        before = np.abs(model.scaled(quality) - scaled)[noisy].mean()
        assert np.abs(found - scaled)[noisy].mean() < 0.7 * before

    def test_an_error_shrinks_as_bad_qualities_do(self) -> None:
        """By the slope of the scale, here by differences."""
        features = np.random.default_rng(11).normal(size=(40, 2))
        model = QualityModel(features, 40).fit(features, np.linspace(3, 9, 40))
        quality = np.array([-2.0, 3.0, 6.0, 9.0, 40.0, 1e3])
        slope = (model.scaled(quality + 1e-4) - model.scaled(quality - 1e-4)) / 2e-4
        assert model._scaled_errors(quality, np.full(6, 0.1)) == pytest.approx(0.1 * slope)

    def test_features_that_say_nothing_are_left_out(self) -> None:
        rng = np.random.default_rng(3)
        one = rng.normal(size=(50, 1))
        features = np.concatenate([one, 2 * one + 1, np.ones((50, 1)), rng.normal(size=(50, 1))], 1)
        assert QualityModel(features, 50)._kept.tolist() == [True, False, False, True]


class TestPool:
    def test_a_small_problem_is_all_in_it(self, problem: FunctionProblem) -> None:
        pool = CandidatePool(problem, 1000, np.random.default_rng(0))
        assert len(pool) == problem.size == 108
        assert len(np.unique(pool.codes, axis=0)) == 108
        assert pool.costs[:] == pytest.approx(problem.cost_values(pool.codes))

    def test_taken_candidates_never_come_back(self, problem: FunctionProblem) -> None:
        pool = CandidatePool(problem, 1000, np.random.default_rng(0))
        gone = pool.codes[:7].copy()
        pool.take(gone)
        assert len(pool) == 101
        assert not np.isin(pool.draw(1000), np.arange(7)).any()
        both = np.concatenate([gone, pool.codes[7:9], pool.codes[7:9]])
        assert sorted(pool.new(both).tolist()) == sorted(pool.codes[7:9].tolist())
        pool.take(pool.codes)
        assert not pool.refill()

    def test_a_pool_that_is_used_up_is_filled_with_others(self, problem: FunctionProblem) -> None:
        pool = CandidatePool(problem, 50, np.random.default_rng(0))
        seen = []
        while pool.refill():
            seen.append(pool.codes)
            pool.take(pool.codes)
        assert list(map(len, seen)) == [50, 50, 8]
        assert len(np.unique(np.concatenate(seen), axis=0)) == 108

    def test_only_what_exists_is_in_it(self) -> None:
        limited = FunctionProblem(CHOICES, macs, budgets={"macs": 20_000})
        pool = CandidatePool(limited, 1000, np.random.default_rng(0))
        assert 0 < len(pool) < 108
        assert pool.costs[:][:, 0].max() <= 20_000

    def test_children_are_of_their_parents(self, problem: FunctionProblem) -> None:
        rng = np.random.default_rng(0)
        parents = np.array([[0, 0, 0], [5, 5, 2]])
        bred = children(problem, parents, 4000, rng)
        crossed = bred[1::2]
        # Without the mutations, which half of them have, each value is one of the parents'.
        share = np.isin(crossed, [0, 5, 2]).mean()
        assert share > 0.8
        assert (bred >= 0).all()
        assert (bred < [6, 6, 3]).all()


class TestSearch:
    def test_candidates_come_once_until_there_are_no_more(self, problem: FunctionProblem) -> None:
        search = CostAwareSearch(problem, seed=1, initial=10)
        seen: list[NDArray[np.int64]] = []
        while len(codes := search.ask(7)):
            search.tell(codes, error(problem, codes))
            seen.append(codes)
        everything = np.concatenate(seen)
        assert len(everything) == len(np.unique(everything, axis=0)) == 108

    def test_the_same_answers_give_the_same_proposals(self, problem: FunctionProblem) -> None:
        runs = []
        for seed in (3, 3, 4):
            search, codes = CostAwareSearch(problem, seed=seed, initial=8), []
            for _ in range(6):
                codes.append(search.ask(4))
                search.tell(codes[-1], error(problem, codes[-1]))
            runs.append(np.concatenate(codes).tolist())
        assert runs[0] == runs[1] != runs[2]

    def test_the_front_is_found_sooner_than_by_chance(self, problem: FunctionProblem) -> None:
        import moocore

        everything = CandidatePool(problem, 1000, np.random.default_rng(0)).codes
        points = np.column_stack([error(problem, everything), problem.cost_values(everything)])
        half = points[points[:, 0] <= np.median(points[:, 0])]
        front = half[moocore.is_nondominated(half)]
        reference = 1.1 * front.max(axis=0) - 0.1 * front.min(axis=0)

        def volume(codes: NDArray[np.int64]) -> float:
            found = np.column_stack([error(problem, codes), problem.cost_values(codes)])
            return float(moocore.hypervolume(found, ref=reference))

        ours, by_chance = [], []
        for seed in range(4):
            search, seen = CostAwareSearch(problem, seed=seed, initial=10), []
            for _ in range(5):
                seen.append(search.ask(5))
                search.tell(seen[-1], error(problem, seen[-1]))
            ours.append(volume(np.concatenate(seen)) / volume(everything))
            drawn = np.random.default_rng(seed).permutation(everything)[:25]
            by_chance.append(volume(drawn) / volume(everything))
        assert np.mean(ours) > 0.95
        assert np.mean(ours) > np.mean(by_chance) + 0.1

    @pytest.mark.parametrize("seed", range(3))
    def test_without_costs_it_finds_the_best_quality(
        self, problem: FunctionProblem, seed: int
    ) -> None:
        search = CostAwareSearch(SteeredProblem(problem, []), seed=seed, initial=6)
        found = list[float]()
        for _ in range(5):
            codes = search.ask(4)
            search.tell(codes, error(problem, codes))
            found += error(problem, codes).tolist()
        members = np.indices([len(choices) for choices in CHOICES.values()]).reshape(3, -1).T
        # Twenty of 108 at random hold it in one of five cases.
        assert min(found) == error(problem, members).min()

    @pytest.mark.parametrize("errors", [np.array([0.1]), np.array(0.1)])
    def test_errors_of_others_are_refused(
        self, problem: FunctionProblem, errors: NDArray[np.float64]
    ) -> None:
        search = CostAwareSearch(problem, seed=0, initial=4)
        with pytest.raises(ValueError, match=r"`errors` must be one for each quality; got \("):
            search.tell(search.ask(2), np.array([1.0, 2.0]), errors)
        assert not search._quality

    @pytest.mark.parametrize("bad", [-0.1, np.nan, np.inf])
    def test_an_error_that_is_none_is_refused(self, problem: FunctionProblem, bad: float) -> None:
        search = CostAwareSearch(problem, seed=0, initial=4)
        codes = search.ask(2)
        with pytest.raises(ValueError, match="`errors` must be finite and at least 0; got"):
            search.tell(codes, np.array([1.0, 2.0]), np.array([0.1, bad]))
        search.tell(codes, np.array([1.0, 2.0]), np.array([0.1, 0.0]))  # Nothing was taken up.
        assert len(search._quality) == 2

    def test_the_first_design_spreads_over_the_costs(self, problem: FunctionProblem) -> None:
        codes = CostAwareSearch(problem, seed=0, initial=12).ask(12)
        costs = problem.cost_values(codes)[:, 0]
        every = CandidatePool(problem, 1000, np.random.default_rng(0)).costs[:][:, 0]
        ranks = np.searchsorted(np.sort(every), costs) / len(every)
        assert set(np.floor(4 * np.minimum(ranks, 0.999)).astype(int)) == {0, 1, 2, 3}

    def test_what_waits_or_failed_is_not_proposed(self, problem: FunctionProblem) -> None:
        search = CostAwareSearch(problem, seed=0, initial=6)
        first = search.ask(6)
        search.tell(first[:4], error(problem, first[:4]))
        search.leave_out(first[4:])
        later = search.ask(20, pending=first[4:])
        both = np.concatenate([first, later])
        assert len(np.unique(both, axis=0)) == len(both)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_qualities_must_be_finite(self, problem: FunctionProblem, bad: float) -> None:
        search = CostAwareSearch(problem, seed=0)
        codes = search.ask(2)
        with pytest.raises(ValueError, match="`quality` must be finite"):
            search.tell(codes, np.array([1.0, bad]))

    def test_candidates_over_a_budget_teach_nothing(self) -> None:
        limited = FunctionProblem(CHOICES, macs, budgets={"macs": 20_000})
        search = CostAwareSearch(limited, seed=0, initial=4)
        search.tell(np.array([[5, 5, 2]]), np.array([0.0]))
        for _ in range(5):
            codes = search.ask(4)
            assert limited.exist(codes).all()
            search.tell(codes, error(limited, codes))


def test_a_budget_is_on_a_cost_and_a_parameter_has_choices() -> None:
    with pytest.raises(ExperimentError, match="'watts' is no cost; known: macs, latency"):
        FunctionProblem(CHOICES, macs, budgets={"watts": 1.0})
    with pytest.raises(ExperimentError, match="`kind` must have a choice"):
        FunctionProblem(CHOICES | {"kind": []}, macs)

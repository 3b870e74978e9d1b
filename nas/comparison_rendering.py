"""The scores of a comparison where a person reads them: claims first, then tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.budget_regret import SLACK
from nas.comparison import Comparison
from nas.comparison_scores import ComparisonScores
from nas.headline import headline
from nas.paired_tests import Estimate, PairedTest, median_estimate
from nas.rendering import print_rows
from nas.score_tests import PRIMARY
from nas.set_scores import KINDS, Kind
from nas.shares import percent

__all__ = ["print_comparison"]


def print_comparison(comparison: Comparison, scores: ComparisonScores) -> None:
    """Prints what a single indicator would have concluded and what is right, then the scores.

    Args:
        comparison: What was found.
        scores: Of it.
    """
    for line in headline(comparison, scores):
        print(line)
    _print_regret(scores)
    _print_by_indicator(scores)
    for kind in KINDS:
        _print_sets(scores, kind)
    _print_tests(scores)
    _print_notes(scores)


def _print_regret(scores: ComparisonScores) -> None:
    for charge in scores.charges:
        headings = ["arm", "regret", "interval", "capped", "no answer", "breaks", "of archive"]
        tested = bool(scores.primary) and charge == PRIMARY.charge
        if tested:
            headings += [f"less {scores.reference}", "interval", "p"]
        rows = []
        for arm in scores.arms:
            front, archive = (scores.of(arm.name, kind, charge) for kind in KINDS)
            row = [
                arm.name,
                *_regret_cells(front.estimate("regret"), scores),
                _share(front.estimate("regret_capped").value, scores),
                percent(front.estimate("none").value),
                percent(front.estimate("broken").value),
                _share(archive.estimate("regret").value, scores),
            ]
            if tested:
                row += _test_cells(scores.test(arm.name), scores)
            rows.append(row)
        print_rows(
            headings,
            rows,
            f"Regret over {scores.budgets:,} budgets on all {len(scores.names)} indicators, as a "
            f"share of what a search can gain, at equal {charge.replace('_', ' ')}",
        )


def _regret_cells(regret: Estimate, scores: ComparisonScores) -> list[str]:
    ends = f"{_share(regret.low, scores)} to {_share(regret.high, scores)}"
    return [_share(regret.value, scores), ends]


def _test_cells(test: PairedTest | None, scores: ComparisonScores) -> list[str]:
    if test is None:
        return ["", "", ""]
    return [*_regret_cells(test.difference, scores), f"{test.adjusted_p:.2g}"]


def _share(loss: float, scores: ComparisonScores) -> str:
    return percent(loss / scores.gain) if scores.gain else f"{loss:.3g}"


def _print_by_indicator(scores: ComparisonScores) -> None:
    alone, excess = [], []
    for arm in scores.arms:
        item = scores.of(arm.name)
        alone.append([arm.name, *(_share(v, scores) for v in np.median(item.alone, axis=0))])
        excess.append([arm.name, *(percent(v) for v in np.median(item.excess, axis=0))])
    headings = ["arm", *scores.names]
    print_rows(headings, alone, "Regret under budgets on a single indicator alone")
    print_rows(
        headings, excess, "By how much each misses the best of an indicator at equal quality"
    )


def _print_sets(scores: ComparisonScores, kind: Kind) -> None:
    rows = []
    for arm in scores.arms:
        item = scores.of(arm.name, kind)
        rows.append(
            [
                arm.name,
                f"{item.estimate('size').value:g}",
                _number(item.estimate("hypervolume")),
                _number(item.estimate("igd_plus")),
                percent(item.estimate("dominated").value),
            ]
        )
    members = scores.subset["evaluations"]
    what = "fronts" if kind == "front" else "archives of everything evaluated"
    print_rows(
        ["arm", "members", f"hypervolume of {members}", "IGD+", "dominated"],
        rows,
        f"The {what} against the known front over quality and all indicators "
        f"({scores.known_front} models)",
    )


def _number(estimate: Estimate) -> str:
    return f"{estimate.value:.3g} ({estimate.low:.3g} to {estimate.high:.3g})"


def _print_tests(scores: ComparisonScores) -> None:
    rows: list[Sequence[str]] = [
        [test.score, test.arm, f"{test.difference.value:+.3g}", f"{test.adjusted_p:.2g}"]
        for test in (*scores.own, *scores.secondary)
    ]
    if rows:
        print_rows(["score", "arm", f"less {scores.reference}", "p"], rows, "Other tests")


def _print_notes(scores: ComparisonScores) -> None:
    seeds = "1 seed" if scores.seeds == 1 else f"{scores.seeds} seeds"
    coverage = median_estimate([0.0] * scores.seeds).coverage
    print(
        f"Medians over {seeds}, with intervals that cover {coverage:.1%}. p: exact signed-rank "
        "tests, two-sided, after Holm's correction in each family: regret; regret under budgets on "
        "the own indicator; all others."
    )
    left = f" {scores.left_out} that no known model meets are left out." * bool(scores.left_out)
    print(
        "Budgets: what a random member of the space takes, in each indicator times a slack of its "
        f"own between 1 and {SLACK:g}.{left} Without an answer the regret is the whole gain, from "
        f"the median of the first designs ({scores.first_loss:.4g}) to the best known "
        f"({scores.least_loss:.4g}); capped: and never more than that, also with an answer."
    )
    print(
        "Breaks: budgets of which a user who knows only the indicators of the search breaks "
        f"another. Hypervolumes are of random subsets of {scores.subset['evaluations']} members."
    )
    unscored = max(float(item.values["unscored"].max()) for item in scores.sets)
    if unscored:
        print(
            f"Up to {percent(unscored)} of the answers of a set were not scored; the best scored "
            "member stands for them."
        )

"""The comparison of indicators on a table, as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations

from nas.disagreement_rendering import print_disagreement
from nas.match_rendering import print_matches
from nas.model_table import ALL
from nas.table_comparison import LEAST, Stratum, TableComparison
from nas.terminal import legend, marks, print_table, say

__all__ = ["print_strata", "print_table_comparison"]


def print_table_comparison(found: TableComparison) -> None:
    """Prints the whole table's disagreement, then by stratum, then families at equal cost."""
    print_disagreement(found.overall)
    if found.strata or found.small:
        print_strata(found)
    if found.matches:
        print_matches(found.matches, found.overall.quality)


def print_strata(found: TableComparison) -> None:
    """Prints rank correlations within strata, and fronts, flips and leading families of each."""
    names, quality = found.overall.indicators, found.overall.quality
    short = marks(names) | {quality: quality}
    legend(short)
    rows = []
    for a, b in combinations((*names, quality), 2):
        whole, pooled = found.overall.kendall[a][b], found.pooled[a][b]
        taus = [s.disagreement.kendall[a][b].tau for s in found.strata]
        known = [tau for tau in taus if not math.isnan(tau)]
        spread = f"{min(known):.2f} to {max(known):.2f}" if known else ""
        rows.append([f"{short[a]}, {short[b]}", str(whole), str(pooled), spread])
    headings = ["two columns", "tau over all", "tau within strata", "of single strata"]
    print_table(headings, rows, "Rank correlation within strata, where what they mix is left out")
    few = f"; {found.small} more have fewer than {LEAST} models" if found.small else ""
    say(f"{len(found.strata)} strata{few}, whose pairs count in the tau within strata.")
    rows = []
    divided = ", ".join(found.strata[0].labels) if found.strata else "stratum"
    for stratum in found.strata:
        sizes, models = stratum.disagreement.fronts.sizes, stratum.disagreement.models
        middle = stratum.disagreement.recommendations[:2][-1:]
        chosen = [str(len(set(item.cheapest.values()))) for item in middle] or [""]
        flips = [flips.share for flips in stratum.disagreement.flips]
        most = f"{max(flips):.1%}" if flips else ""
        singles = ", ".join(str(sizes[name]) for name in names)
        rows.append([_labels(stratum), str(models), singles, str(sizes[ALL]), most, *chosen])
    headings = [
        divided, "models",
        f"fronts of {', '.join(short[name] for name in names)}" if len(names) < 4 else "fronts",
        "of all", "most flips", "recommended",
    ]  # fmt: skip
    print_table(headings, rows, "Each stratum by itself")
    say(
        "Most flips are those of the two indicators that flip most; recommended, how many models "
        "single indicators recommend."
    )
    leads = [
        [_labels(stratum), *(_lead(families[name]) for name in names)]
        for stratum in found.strata
        if (families := stratum.disagreement.fronts.families)
    ]
    if leads:
        headings = [divided, *(short[name] for name in names)]
        print_table(headings, leads, "Family with most on each front")


def _labels(stratum: Stratum) -> str:
    return ", ".join(stratum.labels.values())


def _lead(shares: Mapping[str, float]) -> str:
    return next((f"{family} {share:.0%}" for family, share in shares.items()), "")

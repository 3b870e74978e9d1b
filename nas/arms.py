"""Arms: what the searches of a comparison go by.

Each indicator can be an arm, which searches the quality against that one cost. ``all`` searches
against every indicator. The null arms say what a result means: an arm that does no better than
``random`` learned nothing, one that does no better than ``quality`` gained nothing by its costs,
``weighted-product`` folds all costs into one number, and ``representative`` takes one indicator of
each group that orders the space alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.columns import QUALITY
from nas.comparison import Arm
from nas.errors import ExperimentError
from nas.redundancy import RedundantGroup, leading
from search_spaces import UnknownNameError

__all__ = [
    "ALL",
    "NULL_ARMS",
    "RANDOM",
    "REPRESENTATIVE",
    "WEIGHTED_PRODUCT",
    "check_arms",
    "compared_indicators",
    "make_arms",
]

ALL = "all"
RANDOM = "random"
WEIGHTED_PRODUCT, REPRESENTATIVE = "weighted-product", "representative"
NULL_ARMS = (RANDOM, QUALITY, WEIGHTED_PRODUCT, REPRESENTATIVE)


def check_arms(names: Sequence[str], known: Sequence[str]) -> None:
    """Refuses what is no arm.

    Args:
        names: What should be arms.
        known: Every indicator that can be one.

    Raises:
        UnknownNameError: One of them is neither an indicator nor ``all`` nor a null arm.
        ExperimentError: An indicator has the name of another arm.
    """
    others = (ALL, *NULL_ARMS)
    for name in known:
        if name in others:
            raise ExperimentError(
                f"An indicator is called `{name}`, which stands for an arm of a comparison; call "
                "it something else."
            )
    for name in names:
        if name not in (*known, *others):
            raise UnknownNameError("arm", name, (*known, *others))


def compared_indicators(
    arms: Sequence[str], objectives: Sequence[str], further: Sequence[str] = ()
) -> tuple[str, ...]:
    """The indicators of a comparison, each once: objectives, what arms are named after, and others.

    >>> compared_indicators(["params", "all", "random"], ["macs", "params"], ["activations"])
    ('macs', 'params', 'activations')
    """
    named = [name for name in arms if name not in (ALL, *NULL_ARMS)]
    return tuple(dict.fromkeys([*objectives, *named, *further]))


def make_arms(
    names: Sequence[str],
    objectives: Sequence[str],
    indicators: Sequence[str],
    redundant: Sequence[RedundantGroup],
) -> tuple[Arm, ...]:
    """The arms of a comparison.

    Args:
        names: Of the arms; when empty each objective, ``all``, and every null arm that is no other
            arm under another name.
        objectives: Of the experiment.
        indicators: Every indicator that is compared.
        redundant: Which of them order the space alike.

    >>> [arm.name for arm in make_arms([], ["macs"], ["macs", "params"], [])]
    ['macs', 'all', 'random', 'quality', 'weighted-product']
    >>> alike = RedundantGroup(("params", "macs"), 0.95)
    >>> make_arms(["representative"], [], ["macs", "params"], [alike])
    (Arm(name='representative', objectives=('params',), null=True),)
    """
    few = leading(indicators, redundant)
    if not names:
        names = [*objectives, ALL, *NULL_ARMS]
        if set(few) == set(indicators) or (len(few) == 1 and few[0] in objectives):
            names.remove(REPRESENTATIVE)
    of = {ALL: tuple(indicators), REPRESENTATIVE: few}
    return tuple(
        Arm(name, of.get(name, () if name in NULL_ARMS else (name,)), name in NULL_ARMS)
        for name in names
    )

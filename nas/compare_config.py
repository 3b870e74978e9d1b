"""The section of an experiment file that says what is compared."""

from __future__ import annotations

from pydantic import Field, field_validator

from nas.config import Config, Whole

__all__ = ["ArmsConfig", "CompareConfig", "TableCompareConfig"]

MOST_SEEDS = 10_000
"""Of the searches, so that the seeds that finalists are trained again with lie beyond them."""


class ArmsConfig(Config):
    """What every comparison of searches says.

    Attributes:
        arms: Indicators that a search each goes by alone, ``"all"``, and names of null arms; when
            empty each objective, ``"all"`` and every null arm.
    """

    arms: tuple[str, ...] = ()

    @field_validator("arms")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError("name each arm once")
        return names


class TableCompareConfig(ArmsConfig):
    """How searches of a table are compared.

    Attributes:
        arms: As of every comparison.
        seeds: Searches of each arm; 2 or more are needed to claim that a difference is significant.
        workers: Processes that search.
        family: The column of the configuration that says which family it is of.
    """

    seeds: Whole = Field(default=20, ge=1, le=MOST_SEEDS)
    workers: Whole = Field(default=2, ge=1)
    family: str | None = None


class CompareConfig(ArmsConfig):
    """How searches that train are compared; its processes are those of the search.

    Attributes:
        arms: As of every comparison.
        seeds: Searches of each arm; 2 or more are needed to claim that a difference is significant.
        indicators: Further ones that all arms are scored by.
        scoring_seeds: Trainings of each finalist, with seeds that no search saw.
    """

    seeds: Whole = Field(default=10, ge=1, le=MOST_SEEDS)
    indicators: tuple[str, ...] = ()
    scoring_seeds: Whole = Field(default=2, ge=1)

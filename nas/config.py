"""What the sections of an experiment file have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Strict

__all__ = ["Config", "Real", "Whole"]

Whole = Annotated[int, Strict()]
"""An integer that is written as one: neither text nor a truth value."""

Real = Annotated[float, Strict()]
"""A number that is written as one, with or without a fraction."""


class Config(BaseModel):
    """Values that are checked when they are read; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

"""Whether and how a search ends trainings early: the section ``search.stopping``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from nas.config import Config, Real, Whole

if TYPE_CHECKING:
    from nas.stopping_rule import StoppingRule

__all__ = ["StoppingConfig"]


class StoppingConfig(Config):
    """How trainings end early; see :class:`nas.stopping_rule.StoppingRule`.

    Attributes:
        enabled: Whether they do.
        costs: In what a candidate must be dominated: in ``"all"`` indicators, as the Pareto set is
            over all of them, or in the ``"objectives"``, which stops more, and members of that set
            too that are good at something else.
        level: Probability, at most, with which a member of the front is stopped.
        first: The earliest epoch after which a training may end.
        reduction_factor: Ratio of the epochs after which it may.
        spare: Share of the candidates to be stopped that are finished anyhow.
    """

    enabled: bool = False
    costs: Literal["all", "objectives"] = "all"
    level: Real = Field(default=0.1, gt=0, lt=1)
    first: Whole = Field(default=1, ge=1)
    reduction_factor: Whole = Field(default=2, ge=2)
    spare: Real = Field(default=0.1, gt=0, lt=1)

    def rule(self, epochs: int, resolution: float = 1e-3) -> StoppingRule:
        """The rule for trainings of so many epochs, of a quality that is 0 at best.

        Args:
            epochs: Of a whole training.
            resolution: The least difference of the quality that can be measured.

        Raises:
            ValueError: There is no epoch after which a training could end.
        """
        from nas.stopping_rule import StoppingRule

        return StoppingRule(
            total=epochs,
            level=self.level,
            first=self.first,
            reduction_factor=self.reduction_factor,
            spare=self.spare,
            ideal=0.0,
            resolution=resolution,
        )

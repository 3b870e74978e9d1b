"""A certificate repeated: networks that it has not seen, measured on this machine now."""

from __future__ import annotations

from dataclasses import dataclass

from hw_profiles import BlockTable, Runtime, space_digest
from hw_profiles.gauge import MakeGauge, gauge_of
from hw_profiles.measurement import certify, now
from hw_profiles.quantity import quantity
from hw_profiles.store import Store
from hw_profiles.validity import Finding, compare
from nas.errors import ExperimentError
from nas.pricing import count_space
from nas.progress import Reporter
from nas.space_classes import load_space_class
from predictors import TablePredictor
from search_spaces import SearchSpace
from search_spaces.space_fields import space_of_fields

__all__ = ["Repetition"]


@dataclass(frozen=True)
class Repetition:
    """A table whose certificate can be repeated here.

    Attributes:
        table: With its certificate.
        space: What the table is of, made again.
        runtime: The table's own setting.
        gauge: How networks are visited for its quantity.
    """

    table: BlockTable
    space: SearchSpace
    runtime: Runtime
    gauge: MakeGauge

    @classmethod
    def of(cls, table: BlockTable, runtime: Runtime) -> Repetition:
        """Makes ready, and measures nothing yet.

        Args:
            table: Whose certificate to repeat.
            runtime: The table's own setting on this machine.

        Raises:
            ForeignTableError: The table was made on another device, or with another version.
            UnavailableError: Its quantity cannot be measured here.
            ExperimentError: It has no certificate, or its space cannot be made again.
        """
        advice = "Measure a table of this machine with `hwnas profile measure`."
        table.check_made_on(runtime.device, runtime.setting, advice)
        gauge = gauge_of(quantity(table.quantity), runtime)
        if table.certificate is None:
            raise ExperimentError(f"The table of {table.name} has no certificate to repeat.")
        try:
            space = space_of_fields(table.spaces, load_space_class)
        except (KeyError, ValueError, TypeError) as error:
            raise ExperimentError(
                f"The space of the table of {table.name} cannot be made again ({error}). {advice}"
            ) from error
        if space_digest(space) != table.digest:
            raise ExperimentError(
                f"The space of the table of {table.name} has other blocks by now: its code has "
                f"changed since. {advice}"
            )
        return cls(table, space, runtime, gauge)

    def findings(self, store: Store, report: Reporter, networks: int) -> list[Finding]:
        """Measures networks that neither the table nor its certificate has seen.

        Args:
            store: Counts of the space's blocks are kept there.
            report: Told how far it is, and where the machine is too busy.
            networks: How many of each family.

        Returns:
            What they say of each family.

        Raises:
            ExperimentError: The space has no such network.
        """
        table, certificate = self.table, self.table.certificate
        assert certificate is not None
        predictor = TablePredictor(table, count_space(self.space, store, report))
        report.line(
            f"Measuring up to {networks} networks of each family of {table.space}, twice, that "
            "neither the table nor its certificate has seen."
        )
        with report.bar("Validating") as bar:
            found = certify(
                table,
                self.space,
                self.runtime,
                lambda architecture: predictor.price(architecture).value,
                networks=networks,
                progress=lambda done, total, left: bar(done, total, f"about {left:.0f} s left"),
                salt=now(),
                make_gauge=self.gauge,
            )
        findings = [] if found is None else list(compare(certificate, found).values())
        if not findings:
            raise ExperimentError(
                f"The space of the table of {table.name} has no network left that neither the "
                "table nor its certificate has seen, so there is nothing to repeat it on."
            )
        for finding in findings:
            if finding.noisy:
                report.line(
                    f"Warning: the machine is busy: one network of {finding.family} in ten differs "
                    f"by more than {finding.repeat_90:.0%} from itself (see `hwnas doctor`)."
                )
        return findings

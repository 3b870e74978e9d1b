"""Profiles from published measurements: architectures as columns, and a measured latency of each.

``import_measurements("hat_latency.npz", "latency_total:ms", [...])`` fits a regression to the rows
and certifies it by cross-validation: each row is predicted by a regression that was fitted without
it, and without the other rows of its architecture. The rows are as others measured them; so the
certificate says how far predictions are from such measurements, their noise included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw_profiles.certificate import Measured, score
from hw_profiles.files import canonical_json, read_json, sha256_of, write_json
from predictors.published_table import UNITS, FeatureCode, PublishedTable
from predictors.robust_regression import RobustRegression, drift_of
from search_spaces import CorruptFileError, UnknownNameError

__all__ = ["CrossValidation", "ImportedProfile", "PublishedScore", "import_measurements"]

Array = NDArray[np.float64]

FORMAT = "hwnas imported profile 1"

FEWEST_ROWS = 30
"""Architectures that a certificate is worth making of, at least."""
USUAL = 0.05
"""A row was measured in the device's usual state where the rows around it are this near to it."""


@dataclass(frozen=True, slots=True)
class PublishedScore:
    """Figures over rows, each predicted by a regression fitted without it; shares as fractions.

    Attributes:
        n: Rows.
        folds: Parts that the rows were left out in.
        bias: Mean relative error.
        mape: Mean absolute relative error.
        within_5: Share within ±5 %.
        within_10: Share within ±10 %.
        within_10_low: Lower end of its one-sided 95 % interval (Clopper & Pearson 1934).
        tau: Kendall rank correlation of predicted and measured.
        inside: Share inside of the 95 % interval that the other parts give.
    """

    n: int
    folds: int
    bias: float
    mape: float
    within_5: float
    within_10: float
    within_10_low: float
    tau: float
    inside: float


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Rows, each predicted by a regression that was fitted without its part.

    Attributes:
        rows: Which row of the file each is, from 1: ``[n]``.
        part: The part that it was left out with: ``[n]``.
        predicted_s: Seconds that were predicted: ``[n]``.
        measured_s: Seconds that were measured: ``[n]``.
        usual: Whether the device was in its usual state, as the rows before and after show:
            ``[n]``; ``None`` where their order is not known.
    """

    rows: NDArray[np.intp]
    part: NDArray[np.intp]
    predicted_s: Array
    measured_s: Array
    usual: NDArray[np.bool_] | None

    @cached_property
    def _errors(self) -> Array:
        errors: Array = np.abs(np.log(self.predicted_s / self.measured_s))
        return errors

    @property
    def log_half_width(self) -> float:
        """Half the 95 % interval of a logarithm."""
        return float(np.quantile(self._errors, 0.95))

    @cached_property
    def certificate(self) -> PublishedScore:
        """Figures over all rows."""
        return self._score(np.ones(len(self.rows), dtype=bool))

    @cached_property
    def steady(self) -> PublishedScore | None:
        """Figures over the rows of the device's usual state; ``None`` where that is not known."""
        if self.usual is None or not self.usual.any():
            return None
        return self._score(self.usual)

    def _score(self, chosen: NDArray[np.bool_]) -> PublishedScore:
        inside = np.zeros(len(self.rows), dtype=bool)
        for part in np.unique(self.part):
            own = self.part == part
            inside[own] = self._errors[own] <= np.quantile(self._errors[~own], 0.95)
        pairs = zip(self.predicted_s[chosen], self.measured_s[chosen], strict=True)
        of_all = score([Measured("", "", float(p), (m, m), (m, m, m), 1) for p, m in pairs])
        return PublishedScore(
            n=of_all.n,
            folds=len(np.unique(self.part)),
            bias=of_all.bias,
            mape=of_all.mape,
            within_5=of_all.within_5,
            within_10=of_all.within_10,
            within_10_low=of_all.within_10_low,
            tau=of_all.tau,
            inside=float(inside[chosen].mean()),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "rows": self.rows.tolist(),
            "part": self.part.tolist(),
            "predicted_s": self.predicted_s.tolist(),
            "measured_s": self.measured_s.tolist(),
            "usual": None if self.usual is None else self.usual.tolist(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CrossValidation:
        """Reads back what :meth:`to_json` wrote."""
        return cls(
            np.array(data["rows"], dtype=np.intp),
            np.array(data["part"], dtype=np.intp),
            np.array(data["predicted_s"], dtype=float),
            np.array(data["measured_s"], dtype=float),
            None if data["usual"] is None else np.array(data["usual"], dtype=bool),
        )


@dataclass(frozen=True, eq=False)
class ImportedProfile:
    """A regression through published measurements.

    Attributes:
        source: Name of the file, its SHA-256, the column, its unit, and the values that rows were
            chosen by.
        features: How a configuration becomes numbers.
        regression: From those to seconds.
        validation: What it says of rows that it was not fitted to.
    """

    source: Mapping[str, Any]
    features: tuple[FeatureCode, ...]
    regression: RobustRegression
    validation: CrossValidation

    @property
    def certificate(self) -> PublishedScore:
        """How wrong it is on rows that it was not fitted to."""
        return self.validation.certificate

    def predict(self, config: Mapping[str, Any]) -> tuple[float, float, float]:
        """Seconds of a configuration, and the ends of the 95 % interval.

        The interval is that of the cross-validation.

        Args:
            config: A value for each of the features, and nothing else.

        Raises:
            UnknownNameError: A feature, or the value of one, is not known.
            ValueError: A feature is missing, no number, or outside of what was measured.
        """
        value, low, high = self.predict_many([config])
        return float(value[0]), float(low[0]), float(high[0])

    def predict_many(self, configs: Sequence[Mapping[str, Any]]) -> tuple[Array, Array, Array]:
        """As :meth:`predict`, of several configurations: three ``[n]``."""
        known = [code.name for code in self.features]
        for config in configs:
            for name in config:
                if name not in known:
                    raise UnknownNameError("feature", name, known)
            if gone := [name for name in known if name not in config]:
                raise ValueError(f"`config` must have each of {known}; it lacks {gone}.")
        columns = {name: [config[name] for config in configs] for name in known}
        values = self.regression.predict(_encode(self.features, columns, len(configs)))
        factor = float(np.exp(self.validation.log_half_width))
        return values, values / factor, values * factor

    def save(self, path: Path) -> None:
        """Writes the profile as JSON with its checksum."""
        data = {
            "format": FORMAT,
            "source": dict(self.source),
            "features": [code.to_json() for code in self.features],
            "regression": self.regression.to_json(),
            "certificate": asdict(self.certificate),
            "validation": self.validation.to_json(),
        }
        write_json(path, {"profile": data, "sha256": sha256_of(canonical_json(data))})

    @classmethod
    def load(cls, path: Path) -> ImportedProfile:
        """Reads a profile.

        Raises:
            FileNotFoundError: There is no such file.
            CorruptFileError: It is not what :meth:`save` wrote.
        """
        file = read_json(path)
        try:
            data = file["profile"]
            if data["format"] != FORMAT:
                raise CorruptFileError(f"{path} has format {data['format']!r}, not {FORMAT!r}.")
            if sha256_of(canonical_json(data)) != file["sha256"]:
                raise CorruptFileError(f"{path} has a wrong checksum: it was changed or cut off.")
            return cls(
                source=data["source"],
                features=tuple(map(FeatureCode.from_json, data["features"])),
                regression=RobustRegression.from_json(data["regression"]),
                validation=CrossValidation.from_json(data["validation"]),
            )
        except CorruptFileError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptFileError(f"{path} is not an imported profile: {error!r}.") from error


def import_measurements(
    path: Path | str,
    latency: str,
    features: Sequence[str],
    *,
    where: Mapping[str, str] | None = None,
    in_order: bool = False,
    folds: int = 5,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ImportedProfile:
    """A profile from a table of architectures and measured latencies.

    Args:
        path: A ``.npz``, ``.csv``, ``.csv.gz`` or ``.json`` file.
        latency: The column of latencies and its unit, as in ``"latency_total:ms"``; units are those
            of :data:`predictors.published_table.UNITS`.
        features: Columns that describe an architecture: numbers, lists of numbers, or names. What a
            column holds is seen, or said, as in ``"operator:name"`` for names that are numbers.
        where: Only rows with these values of other columns, such as one device of several.
        in_order: Whether rows stand in the order in which they were measured. Then a state of the
            device that lasts for many rows is told from the architectures, and a second certificate
            is made of the rows in its usual state.
        folds: Parts of the cross-validation.
        seed: Of the parts.
        progress: Told after each fit how many of them are done, and of how many.

    Raises:
        FileNotFoundError: There is no such file.
        UnknownNameError: A column, unit or value is not known.
        CorruptFileError: The file cannot be read, or a cell holds nothing usable.
        ValueError: A unit or the features are missing, or there are too few architectures.
    """
    path = Path(path)
    column, colon, unit = latency.rpartition(":")
    if not colon:
        raise ValueError(
            f"`latency` must name a column and its unit, as in {latency + ':ms'!r}; got "
            f"{latency!r}. Known units: {', '.join(UNITS)}."
        )
    table = PublishedTable.read(path)
    for name, value in (where or {}).items():
        table = table.where(name, value)
    seconds, codes = table.seconds(column, unit), table.code(features)
    names = [code.name for code in codes]
    if not names or len(set(names)) < len(names) or column in names:
        raise ValueError(
            f"`features` must name columns, each once, and not {column!r}; got {list(features)}."
        )
    inputs = _encode(codes, table.columns, len(table))
    distinct, architecture = np.unique(inputs, axis=0, return_inverse=True)
    n = len(distinct)
    if n < FEWEST_ROWS or not 2 <= folds <= n // 2:
        raise ValueError(
            f"There must be rows of at least {FEWEST_ROWS} architectures, and `folds` from 2 to "
            f"half as many as those; got {n} architectures in {len(table)} rows, and {folds} folds."
        )
    order = np.array(table.rows, dtype=float) if in_order else None
    source = {
        "file": path.name,
        "sha256": sha256_of(path.read_bytes()),
        "latency": column,
        "unit": unit,
        "where": dict(where or {}),
        "in_order": in_order,
    }
    # Rows of one architecture are left out together: the others would give it away.
    part = np.random.default_rng(seed).permutation(np.arange(n) % folds)[architecture]
    told = progress or (lambda done, total: None)
    predicted, drift = _left_out(inputs, seconds, order, part, told)
    usual = np.abs(drift) <= USUAL if in_order else None
    validation = CrossValidation(np.array(table.rows), part, predicted, seconds, usual)
    regression = RobustRegression.fit(inputs, seconds, order)
    told(folds + 1, folds + 1)
    return ImportedProfile(source, codes, regression, validation)


def _left_out(
    inputs: Array,
    seconds: Array,
    order: Array | None,
    part: NDArray[np.intp],
    progress: Callable[[int, int], None],
) -> tuple[Array, Array]:
    """For each row, by rows of other parts alone: its prediction, and the drift around it."""
    predicted, drift = np.zeros(len(seconds)), np.zeros(len(seconds))
    folds = len(np.unique(part))
    for position in range(folds):
        out, others = part == position, part != position
        own_order = None if order is None else order[others]
        regression = RobustRegression.fit(inputs[others], seconds[others], own_order)
        predicted[out] = regression.predict(inputs[out])
        if order is not None:
            left = np.log(seconds[others] / regression.predict(inputs[others]))
            drift[out] = drift_of(left - np.median(left), order[others], order[out])
        progress(position + 1, folds + 1)
    return predicted, drift


def _encode(codes: Sequence[FeatureCode], columns: Mapping[str, Sequence[Any]], rows: int) -> Array:
    """Inputs of the regression: ``[rows, inputs]``."""
    parts = [np.array([code.encode(cell) for cell in columns[code.name]]) for code in codes]
    return np.concatenate([part.reshape(rows, -1) for part in parts], axis=1)

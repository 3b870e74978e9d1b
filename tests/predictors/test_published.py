"""Profiles from published measurements, on tables whose law is known."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kendalltau

from hw_profiles.files import canonical_json, sha256_of
from predictors.published import ImportedProfile, import_measurements
from predictors.robust_regression import RobustRegression
from search_spaces import CorruptFileError, UnknownNameError

Array = NDArray[np.float64]

FEATURES = ("depth", "width", "operator")
NOISE = 0.02
SPEED = {"conv": 1.0, "pool": 1.6}


def architectures(n: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    found = [{"depth": 1, "width": 32, "operator": "conv"}]
    found += [{"depth": 12, "width": 256, "operator": "pool"}]  # The ends of what is measured.
    while len(found) < n:
        depth, width = int(rng.integers(1, 13)), 16 * int(rng.integers(2, 17))
        found.append({"depth": depth, "width": width, "operator": str(rng.choice(list(SPEED)))})
    return found


def milliseconds(config: dict[str, Any]) -> float:
    """What an architecture takes, without noise."""
    products = 2e-5 * config["depth"] * config["width"] ** 2 / SPEED[config["operator"]]
    return 1.0 + 0.2 * config["depth"] + products


def measured(configs: Sequence[dict[str, Any]], noise: float = NOISE, seed: int = 5) -> Array:
    factors = np.exp(noise * np.random.default_rng(seed).standard_normal(len(configs)))
    found: Array = factors * [milliseconds(config) for config in configs]
    return found


def write(path: Path, configs: Sequence[dict[str, Any]], ms: Sequence[float]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*FEATURES, "ms", "device"])
        for config, value in zip(configs, ms, strict=True):
            writer.writerow([*config.values(), value, "chip"])
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 architectures, measured once each."""
    configs = architectures(80)
    return write(tmp_path_factory.mktemp("table") / "t.csv", configs, measured(configs).tolist())


@pytest.fixture(scope="module")
def profile(table: Path) -> ImportedProfile:
    return import_measurements(table, "ms:ms", FEATURES, folds=4)


def test_law_is_recovered(profile: ImportedProfile) -> None:
    new = architectures(200, seed=1)
    value, _, _ = profile.predict_many(new)
    errors = value / [1e-3 * milliseconds(config) for config in new] - 1
    assert np.abs(errors).mean() < NOISE
    assert profile.certificate.mape < 2 * NOISE


def test_intervals_cover_measurements_that_it_was_not_fitted_to(profile: ImportedProfile) -> None:
    new = architectures(300, seed=2)
    value, low, high = profile.predict_many(new)
    seconds = 1e-3 * measured(new, seed=6)
    assert 0.9 < np.mean((low <= seconds) & (seconds <= high)) <= 1
    assert np.mean(high / low) < 1.25
    assert (low < value).all()
    assert (value < high).all()


def test_each_row_is_predicted_without_its_part(table: Path, profile: ImportedProfile) -> None:
    found = profile.validation
    with table.open() as file:
        rows = list(csv.DictReader(file))
    inputs = np.array(
        [
            [
                float(row["depth"]),
                float(row["width"]),
                float(row["operator"] == "conv"),
                float(row["operator"] == "pool"),
            ]
            for row in rows
        ]
    )
    seconds = np.array([1e-3 * float(row["ms"]) for row in rows])
    np.testing.assert_allclose(found.measured_s, seconds, rtol=1e-12)
    out = found.part == 2
    alone = RobustRegression.fit(inputs[~out], seconds[~out])
    np.testing.assert_allclose(found.predicted_s[out], alone.predict(inputs[out]), rtol=1e-9)
    assert np.bincount(found.part).min() >= 15


def test_certificate_is_that_of_the_rows_left_out(profile: ImportedProfile) -> None:
    found, score = profile.validation, profile.certificate
    error = found.predicted_s / found.measured_s - 1
    assert (score.n, score.folds) == (80, 4)
    assert score.bias == pytest.approx(error.mean())
    assert score.mape == pytest.approx(np.abs(error).mean())
    assert score.within_5 == pytest.approx(np.mean(np.abs(error) <= 0.05))
    assert score.within_10 == pytest.approx(np.mean(np.abs(error) <= 0.1))
    assert score.within_10_low < score.within_10
    assert score.tau == pytest.approx(kendalltau(found.predicted_s, found.measured_s).statistic)
    logs, inside = np.abs(np.log1p(error)), []
    for part in range(4):
        own = found.part == part
        inside += (logs[own] <= np.quantile(logs[~own], 0.95)).tolist()
    assert score.inside == np.mean(inside)


def test_rows_of_one_architecture_are_left_out_together(tmp_path: Path) -> None:
    configs = [config for config in architectures(40) for _ in range(3)]
    path = write(tmp_path / "t.csv", configs, measured(configs).tolist())
    found = import_measurements(path, "ms:ms", FEATURES, folds=2).validation
    parts: dict[tuple[Any, ...], set[int]] = {}
    for config, part in zip(configs, found.part.tolist(), strict=True):
        parts.setdefault(tuple(config.values()), set()).add(part)
    assert {len(own) for own in parts.values()} == {1}
    assert set(found.part.tolist()) == {0, 1}


def test_ridge_in_the_same_parts_is_further_off(profile: ImportedProfile) -> None:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = profile.validation
    configs = architectures(80)
    inputs = np.array([[c["depth"], c["width"], c["operator"] == "conv"] for c in configs], float)
    predicted = np.zeros(80)
    for part in range(4):
        out = found.part == part
        model = make_pipeline(StandardScaler(), Ridge(1.0))
        predicted[out] = model.fit(inputs[~out], found.measured_s[~out]).predict(inputs[out])
    ridge = np.abs(predicted / found.measured_s - 1).mean()
    assert profile.certificate.mape < ridge / 4


def test_throttled_stretch_is_left_out_of_the_second_certificate(tmp_path: Path) -> None:
    configs = architectures(90)
    ms = measured(configs)
    ms[30:55] *= 1.4
    path = write(tmp_path / "t.csv", configs, ms.tolist())
    profile = import_measurements(path, "ms:ms", FEATURES, in_order=True, folds=3)
    steady = profile.validation.steady
    assert steady is not None
    assert profile.validation.usual is not None
    assert profile.validation.usual[:22].mean() > 0.8
    assert not profile.validation.usual[36:50].any()
    assert steady.mape < profile.certificate.mape / 2
    new = architectures(100, seed=3)
    errors = profile.predict_many(new)[0] / [1e-3 * milliseconds(config) for config in new] - 1
    assert abs(np.median(errors)) < 0.03


def test_file_brings_the_same_profile_back(profile: ImportedProfile, tmp_path: Path) -> None:
    path, new = tmp_path / "p.json", architectures(20, seed=4)
    profile.save(path)
    again = ImportedProfile.load(path)
    for before, after in zip(profile.predict_many(new), again.predict_many(new), strict=True):
        assert before.tolist() == after.tolist()
    assert again.certificate == profile.certificate
    assert again.source == profile.source
    assert json.loads(path.read_text())["profile"]["certificate"]["n"] == 80


def test_source_says_what_was_imported(table: Path) -> None:
    profile = import_measurements(
        table, "ms:us", ["depth", "width"], where={"operator": "conv"}, folds=2
    )
    assert dict(profile.source) == {
        "file": "t.csv",
        "sha256": sha256_of(table.read_bytes()),
        "latency": "ms",
        "unit": "us",
        "where": {"operator": "conv"},
        "in_order": False,
    }
    rows = [i for i, c in enumerate(architectures(80), start=1) if c["operator"] == "conv"]
    assert profile.validation.rows.tolist() == rows
    assert profile.validation.measured_s.max() < 1e-3


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"depth": 2, "width": 64}, ValueError, r"lacks \['operator'\]"),
        ({"depth": 2, "width": 64, "operator": "conv", "x": 1}, UnknownNameError, "feature 'x'"),
        ({"depth": 2, "width": 64, "operator": "sum"}, UnknownNameError, "value of operator"),
        ({"depth": 99, "width": 64, "operator": "conv"}, ValueError, "1 to 12; got 99"),
        ({"depth": float("nan"), "width": 64, "operator": "conv"}, ValueError, "finite number"),
    ],
)
def test_configuration_that_it_cannot_know_is_refused(
    profile: ImportedProfile, config: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        profile.predict(config)


@pytest.mark.parametrize(
    ("latency", "features", "options", "error", "message"),
    [
        ("ms", FEATURES, {}, ValueError, "a column and its unit, as in 'ms:ms'"),
        ("ms:h", FEATURES, {}, UnknownNameError, "unit of column ms 'h'"),
        ("us:us", FEATURES, {}, UnknownNameError, "column of t.csv 'us'"),
        ("ms:ms", [], {}, ValueError, "`features` must name columns"),
        ("ms:ms", ["depth", "depth"], {}, ValueError, "each once"),
        ("ms:ms", ["depth", "ms"], {}, ValueError, "not 'ms'"),
        ("ms:ms", ["depths"], {}, UnknownNameError, "Did you mean 'depth'"),
        ("ms:ms", FEATURES, {"where": {"device": "x"}}, UnknownNameError, "column device 'x'"),
        ("ms:ms", FEATURES, {"folds": 1}, ValueError, "and 1 folds"),
        ("ms:ms", FEATURES, {"folds": 60}, ValueError, "and 60 folds"),
        ("ms:ms", ["operator"], {}, ValueError, "got 2 architectures in 80 rows"),
    ],
)
def test_import_that_cannot_be_is_refused(
    table: Path,
    latency: str,
    features: Sequence[str],
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        import_measurements(table, latency, features, **options)


@pytest.mark.parametrize("value", [float("nan"), -3.0, 0.0])
def test_latency_that_cannot_be_is_named(tmp_path: Path, value: float) -> None:
    configs = architectures(40)
    ms = measured(configs)
    ms[16] = value
    path = write(tmp_path / "t.csv", configs, ms.tolist())
    with pytest.raises(CorruptFileError, match=r"row 17, column 'ms' must hold a time above 0"):
        import_measurements(path, "ms:ms", FEATURES)


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    configs = architectures(29)
    path = write(tmp_path / "t.csv", configs, measured(configs).tolist())
    with pytest.raises(ValueError, match="at least 30 architectures"):
        import_measurements(path, "ms:ms", FEATURES)


def test_file_that_was_changed_is_corrupt(profile: ImportedProfile, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    profile.save(path)
    file = json.loads(path.read_text())

    def put(data: Any) -> None:
        path.write_text(json.dumps({"profile": data, "sha256": sha256_of(canonical_json(data))}))

    data = file["profile"]
    path.write_text(json.dumps(file).replace('"unit": "ms"', '"unit": "us"'))
    with pytest.raises(CorruptFileError, match=r"p\.json has a wrong checksum"):
        ImportedProfile.load(path)
    put(data | {"format": "other 1"})
    with pytest.raises(CorruptFileError, match="has format 'other 1'"):
        ImportedProfile.load(path)
    put({key: item for key, item in data.items() if key != "regression"})
    with pytest.raises(CorruptFileError, match="not an imported profile: KeyError"):
        ImportedProfile.load(path)
    put(data | {"features": [{"name": "depth", "kind": "set", "limits": [], "levels": []}]})
    with pytest.raises(CorruptFileError, match="kind of column"):
        ImportedProfile.load(path)
    with pytest.raises(FileNotFoundError):
        ImportedProfile.load(tmp_path / "gone.json")

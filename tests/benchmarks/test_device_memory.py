"""Measured against predicted memory: what is drawn, and what is said of it."""

import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from benchmarks.device_memory import PRESETS, Row, main, measure, subjects, summaries
from hw_profiles import Device
from hw_profiles.errors import UnavailableError
from hw_profiles.files import read_json, write_json
from search_spaces import Architecture

ROWS = [
    Row("vit_b_16", "published", 1, 180e6, 200_000_000, 8_000_000),
    Row("ab", "vit_224", 1, 110.0, 100, 5),
    Row("cd", "vit_224", 1, 80.0, 100, 7),
    Row("ef", "vit_224", 1, 100.0, None, None),
    Row("ab", "vit_224", 64, 300.0, 300, 5),
]


def test_summaries_are_of_each_family_and_batch() -> None:
    published, one, many = summaries(ROWS)
    assert (published.family, published.batch, published.n) == ("published", 1, 1)
    assert published.bias == pytest.approx(-0.1)
    # Errors of +10 and -20 %; what did not fit has none.
    assert (one.family, one.batch, one.n, one.workspace) == ("vit_224", 1, 2, 7)
    assert one.bias == pytest.approx(-0.05)
    assert one.mape == pytest.approx(0.15)
    assert one.worst == ROWS[2]
    assert (many.batch, many.n, many.bias, many.mape) == (64, 1, 0.0, 0.0)
    assert summaries([ROWS[3]]) == []


def test_result_is_printed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "result.json"
    setting = {"runtime": "eager", "dtype": "fp16", "version": "9.9"}
    rows = [asdict(row) for row in ROWS]
    write_json(path, {"device": {"name": "Moon"}, "setting": setting, "rows": rows})
    monkeypatch.setattr(sys, "argv", ["device_memory", str(path)])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Moon, PyTorch 9.9, fp16"
    assert "| vit_224 | 1 | 2 | -5.0% | 15.0% | -20.0% (cd) | 0.0 |" in lines
    assert "| published | 1 | 1 | -10.0% | 10.0% | -10.0% (vit_b_16) | 8.0 |" in lines
    assert "| vit_b_16 | 1 | 180.0 | 200.0 |" in lines
    assert "| ef | 1 | 0.0 | does not fit |" in lines


def test_networks_are_distinct_and_the_same_each_time() -> None:
    drawn = list(subjects(6))
    assert [name for name, _, _ in drawn[: len(PRESETS)]] == list(PRESETS)
    assert Counter(family for _, family, _ in drawn) == {
        "published": len(PRESETS), "vit_224": 6, "mbconv_224": 6, "resnet_224": 6, "swin_224": 6,
    }  # fmt: skip
    assert len({architecture.id for _, _, architecture in drawn}) == len(drawn)
    assert drawn == list(subjects(6))


def test_without_a_gpu_the_way_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    path = tmp_path / "result.json"
    with pytest.raises(UnavailableError, match="on a machine that has it"):
        measure(path, "fp16", [1], 1)
    assert not path.exists()


def test_each_network_is_measured_at_each_batch_and_what_does_not_fit_is_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(architecture: Architecture, batch: int, dtype: str) -> tuple[int, int]:
        if batch == 64:
            raise torch.cuda.OutOfMemoryError
        return 10**9, 10**7

    device = Device("Moon", "sm_90", cores=1, memory_bytes=1, features="", kind="gpu")
    monkeypatch.setattr("benchmarks.device_memory.gpu_device", lambda: device)
    monkeypatch.setattr("benchmarks.device_memory._measured", measured)
    path = tmp_path / "result.json"
    measure(path, "fp16", [1, 64], 1)
    result = read_json(path)
    assert result["device"]["name"] == "Moon"
    assert result["setting"]["dtype"] == "fp16"
    rows = [Row(**row) for row in result["rows"]]
    assert len(rows) == 2 * len(list(subjects(1)))
    assert {(row.batch, row.measured, row.workspace) for row in rows} == {
        (1, 10**9, 10**7),
        (64, None, None),
    }
    # 86.6 M weights of two bytes are most of what is predicted of one image.
    (vit,) = (row for row in rows if (row.name, row.batch) == ("vit_b_16", 1))
    assert 2 * 86.567e6 < vit.predicted < 1.1 * 2 * 86.567e6
    assert [s.n for s in summaries(rows)] == [5, 1, 1, 1, 1]


def test_it_needs_no_package_of_the_search() -> None:
    code = (
        "import sys; sys.modules.update(optuna=None, pydantic=None)\n"
        "import benchmarks.device_memory as b; list(b.subjects(1))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

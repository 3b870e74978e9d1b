"""Published image models: families, pretraining and resolution are told from names."""

from pathlib import Path

import pytest

from benchmarks.timm_models import (
    COSTS,
    CPU,
    FAMILY,
    GPU,
    PRETRAINING,
    RESOLUTION,
    main,
    question,
    stratified,
)
from nas.table_comparison import compare_table


@pytest.mark.parametrize(
    ("arch", "family"),
    [
        ("tf_efficientnet_b0", "EfficientNet"),
        ("efficientnet_b1_pruned", "EfficientNet"),
        ("tf_efficientnetv2_s", "EfficientNetV2"),
        ("gc_efficientnetv2_rw_t", "EfficientNetV2"),
        ("efficientvit_b0", "efficientvit"),
        ("efficientformer_l1", "efficientformer"),
        ("vit_base_patch16_224", "vit"),
        ("tf_mobilenetv3_large_100", "mobilenetv"),
    ],
)
def test_family(arch: str, family: str) -> None:
    assert FAMILY.label(arch) == family


@pytest.mark.parametrize(
    ("model", "label"),
    [
        ("vit_base_patch32_clip_224.laion2b_ft_in12k_in1k", "text"),
        ("vit_base_patch16_224.augreg_in21k_ft_in1k", "larger"),
        ("tf_efficientnet_b4.ns_jft_in1k", "larger"),
        ("tf_efficientnet_b4.aa_in1k", "in1k"),
    ],
)
def test_pretraining(model: str, label: str) -> None:
    assert PRETRAINING.label(model) == label


@pytest.mark.parametrize(
    ("size", "label"),
    [
        ("64", "below_224"), ("176", "below_224"), ("224", "at_224"), ("240", "to_300"),
        ("299", "to_300"), ("300", "to_300"), ("320", "above_300"), ("768", "above_300"),
    ],
)  # fmt: skip
def test_resolution(size: str, label: str) -> None:
    assert RESOLUTION.label(size) == label


@pytest.fixture
def table(tmp_path: Path) -> Path:
    lines = [f"model,arch,img_size,top1,params_m,gmacs,macts,{GPU},{CPU}"]
    for i in range(30):
        arch = f"{'tf_efficientnet_b' if i % 2 else 'resnet'}{i // 2}"
        for tag, better in (("in1k", 0), ("in21k_ft_in1k", 1)):
            cpu = "" if i == 7 else f"{50 - i}"
            lines.append(
                f"{arch}.{tag},{arch},{224 + 32 * (i % 2)},{60 + i + better},{10 + i},{1 + i / 10},"
                f"{5 + (i * 7) % 11},{3000 - 50 * ((i * 5) % 13)},{cpu}"
            )
    path = tmp_path / "models.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_one_row_of_each_architecture_and_size_is_kept(table: Path) -> None:
    overall = compare_table(question(table)).overall
    assert overall.models == overall.complete == 29
    assert overall.indicators == tuple(cost.removesuffix(":max") for cost in COSTS)
    divided = compare_table(stratified(table))
    assert divided.overall.models == 58
    assert {stratum.labels["pretraining"] for stratum in divided.strata} == {"in1k", "larger"}


def test_figures_are_printed(
    table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["timm_models", str(table)])
    main()
    out = " ".join(capsys.readouterr().out.split())
    assert "EfficientNets (V1 + V2) on the front of top-1 against each cost" in out
    assert "pretraining, resolution" in out
    assert "larger, to_300" in out

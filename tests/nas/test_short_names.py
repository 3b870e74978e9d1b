"""Names of indicators as sentences have them."""

from nas.short_names import in_full, joined, short_names

B1, B64 = (f"latency_s@nvidia-h200:cudagraph-fp16-b{batch}" for batch in (1, 64))


def test_names_are_as_short_as_they_tell_apart() -> None:
    assert short_names(["params", B1, B64, "latency_s@local", "cost_usd@nvidia-h200:x-y"]) == {
        "params": "params",
        B1: "latency on nvidia-h200 cudagraph fp16 b1",
        B64: "latency on nvidia-h200 cudagraph fp16 b64",
        "latency_s@local": "latency on local",
        "cost_usd@nvidia-h200:x-y": "cost on nvidia-h200 x y",
    }  # fmt: skip
    # Without another runtime of the device its name says nothing.
    assert list(short_names([B1, B64, "energy_j@a100:eager-fp32-b8-t2"]).values()) == [
        "latency on nvidia-h200 fp16 b1", "latency on nvidia-h200 fp16 b64",
        "energy on a100 fp32 b8 t2",
    ]  # fmt: skip


def test_what_would_be_taken_for_another_is_not_shortened() -> None:
    names = ["energy_j@gpu:rt-fp16-b1", "energy_j@gpu:rt-fp16-b1".replace("rt-", "")]
    assert len(set(short_names(names).values())) == 2
    # An arm or a column may be called as another is in short.
    assert short_names(["latency on local", "latency_s@local"]) == {
        "latency on local": "latency on local", "latency_s@local": "latency_s@local",
    }  # fmt: skip


def test_columns_of_tables_and_null_arms_stay() -> None:
    names = ["lat_ms_a100", "all", "weighted-product", "speed_s@work"]
    assert short_names(names) == {name: name for name in names}


def test_places_of_one_quantity_are_listed_once() -> None:
    short = short_names([B1, B64, "latency_s@local"])
    assert joined([B1], short) == "latency on nvidia-h200 fp16 b1"
    assert joined([B1, "latency_s@local", B64, "params", "macs"], short, "and") == (
        "params, macs, and latency on nvidia-h200 fp16 b1, local and nvidia-h200 fp16 b64"
    )
    assert joined(["params", "macs", B1], short) == (
        "params, macs or latency on nvidia-h200 fp16 b1"
    )


def test_full_names_of_what_is_used_are_told() -> None:
    short = short_names(["params", B1, "energy_j@a100:rt-fp16-b1"])
    assert in_full(short, ["Nothing on params."]) == []
    assert in_full(short, ["Judged by latency on nvidia-h200 fp16 b1."]) == [
        f"In full: latency on nvidia-h200 fp16 b1 is {B1}."
    ]

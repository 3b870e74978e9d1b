"""Experiment files: what they may say, and what is said about the rest."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from hw_profiles.profile import HardwareProfile
from nas.errors import ExperimentError
from nas.experiment import Experiment, MeasurementConfig
from nas.indicators import indicator_names
from nas.splits import Dataset
from search_spaces import OPTIMIZERS, SPACES, UnknownNameError

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))


def test_there_are_examples() -> None:
    assert "digits.toml" in [path.name for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_loads_and_its_space_is_not_empty(path: Path) -> None:
    experiment = Experiment.load(path)
    assert experiment.name == path.stem
    space = experiment.space(experiment.load_dataset())
    assert space.size > experiment.search.trials


def test_a_file_says_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(
        'name = "x"\nseed = 7\n[spaces.vit]\ndepth = [1]\n[training]\nlearning_rate = 1e-2\n'
        '[search]\nobjectives = ["flops"]\n[budgets]\n"latency_s@local" = 1e-3\nmacs = 5\n'
    )
    experiment = Experiment.load(path)
    assert (experiment.name, experiment.seed) == ("x", 7)
    assert experiment.spaces == {"vit": {"depth": [1]}}
    assert experiment.training.learning_rate == 0.01
    assert experiment.search.objectives == ("flops",)
    assert experiment.budgets == {"latency_s@local": 1e-3, "macs": 5.0}
    # What is not said takes its default.
    assert experiment.search.sampler == "cost-aware"
    assert experiment.training.epochs == 10


def test_space_holds_the_choices_of_the_file(
    tiny: Callable[..., Experiment], digits: Dataset
) -> None:
    space = tiny().space(digits)
    assert space.name == "vit+mbconv"
    # (2 + 4) ratios x 2 widths x 2 heads x 2 pools, and 2 widths x 2 depths x 2 x 2.
    assert space.size == 48 + 16
    assert space.parameters["vit.width"] == (8, 16)
    assert space.input_shape == (1, 8, 8)


def test_training_setup_is_adamw_at_the_experiments_batch(tiny: Callable[..., Experiment]) -> None:
    setup = tiny(training={"batch_size": 17}).training_setup
    assert (setup.batch_size, setup.optimizer) == (17, "adamw")


def test_every_optimizer_has_a_training_setup(tiny: Callable[..., Experiment]) -> None:
    assert tiny().training.optimizer == "adamw"
    for name in OPTIMIZERS:
        setup = tiny(training={"optimizer": name}).training_setup
        assert setup.optimizer == name


def test_the_resolution_may_be_searched(tiny: Callable[..., Experiment], digits: Dataset) -> None:
    choices = {"resolution": [8, 16], "patch_size": [4], "depth": [1]}
    space = tiny(spaces={"vit": choices}).space(digits)
    assert space.parameters["vit.resolution"] == (8, 16)
    read = {space.decode(row).input_shapes for row in space.random_codes(9, default_rng(0))}
    assert read == {((1, 8, 8),), ((1, 16, 16),)}


def test_any_family_may_be_sparse(tiny: Callable[..., Experiment], digits: Dataset) -> None:
    space = tiny(spaces={"vit": {"depth": [1], "sparsity": [0.0, 0.9]}}).space(digits)
    assert space.name == "vit"
    assert space.parameters["vit.sparsity"] == (0.0, 0.9)
    for level in (1.0, -0.5, "much"):
        with pytest.raises(ExperimentError, match=r"`spaces\.vit`: `sparsity`"):
            tiny(spaces={"vit": {"sparsity": [level]}}).space(digits)


@pytest.mark.parametrize(
    ("dataset", "family", "said"),
    [
        ("digits", "decoder", "read token ids, but the data set digits holds images"),
        ("digits", "encoder_decoder", "read token ids, but the data set digits holds images"),
        ("text", "vit", "read no token ids, but the data set text holds text"),
        ("text", "mbconv", "read no token ids, but the data set text holds text"),
    ],
)
def test_a_family_that_does_not_read_the_data_set_is_refused(
    tiny: Callable[..., Experiment], dataset: str, family: str, said: str
) -> None:
    experiment = tiny(task={"dataset": dataset}, spaces={family: {}})
    with pytest.raises(ExperimentError, match=f"`spaces.{family}`: .*{said}"):
        experiment.space(experiment.load_dataset())


def test_a_language_model_is_refused_what_the_data_set_decides_of_images() -> None:
    data = {"name": "x", "task": {"dataset": "text"}, "spaces": {"decoder": {"classes": 3}}}
    experiment = Experiment.from_data(data)
    with pytest.raises(ExperimentError, match=r"Unknown key `spaces\.decoder\.classes`"):
        experiment.space(experiment.load_dataset())


def test_a_text_of_the_users_own_is_found_beside_the_experiment(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("to be or not to be " * 99)
    path = tmp_path / "x.toml"
    path.write_text(
        'name = "x"\n[task]\ndataset = "text"\npath = "mine.txt"\n[spaces.decoder]\ncontext = [16]'
    )
    experiment = Experiment.load(path)
    assert experiment.task.path == str(tmp_path / "mine.txt")
    assert experiment.load_dataset().train.startswith(b"to be")  # type: ignore[attr-defined]
    (tmp_path / "run").mkdir()
    kept = tmp_path / "run" / "config.toml"
    kept.write_text(experiment.to_toml())
    assert Experiment.load(kept) == experiment
    (tmp_path / "mine.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"mine\.txt"):
        experiment.load_dataset()


def test_a_path_is_for_data_sets_that_are_files(tiny: Callable[..., Experiment]) -> None:
    with pytest.raises(ExperimentError, match=r"`task\.path`.*'digits'"):
        tiny(task={"path": "mine.txt"})


@pytest.mark.parametrize(
    ("change", "place", "nearest"),
    [
        ({"sede": 1}, "sede", "seed"),
        ({"budget": {"macs": 1}}, "budget", "budgets"),
        ({"search": {"trails": 3}}, "search.trails", "trials"),
        ({"training": {"epoch": 3}}, "training.epoch", "epochs"),
        ({"task": {"data_set": "digits"}}, "task.data_set", "dataset"),
        ({"measurement": {"thread": 2}}, "measurement.thread", "threads"),
    ],
)
def test_an_unknown_key_is_named_with_its_place_and_the_nearest(
    tiny_data: dict[str, Any], change: dict[str, Any], place: str, nearest: str
) -> None:
    for key, value in change.items():
        tiny_data[key] = tiny_data.get(key, {}) | value if isinstance(value, dict) else value
    with pytest.raises(ExperimentError) as caught:
        Experiment.from_data(tiny_data, "my.toml")
    message = str(caught.value)
    assert "my.toml" in message
    assert f"unknown key `{place}`" in message
    assert f"Did you mean `{nearest}`?" in message


@pytest.mark.parametrize(
    ("space", "key", "nearest"), [("vit", "dept", "depth"), ("mbconv", "kernel", "kernel_size")]
)
def test_an_unknown_key_of_a_space_is_named_with_its_place_and_the_nearest(
    digits: Dataset, space: str, key: str, nearest: str
) -> None:
    experiment = Experiment.from_data({"name": "x", "spaces": {space: {key: [3]}}})
    with pytest.raises(ExperimentError) as caught:
        experiment.space(digits)
    message = str(caught.value)
    assert f"`spaces.{space}.{key}`" in message
    assert f"Did you mean `{nearest}`?" in message


@pytest.mark.parametrize("key", ["input_channels", "classes", "name"])
def test_what_the_data_set_decides_is_no_key_of_a_space(digits: Dataset, key: str) -> None:
    experiment = Experiment.from_data({"name": "x", "spaces": {"vit": {key: 3}}})
    with pytest.raises(ExperimentError, match=f"Unknown key `spaces.vit.{key}`"):
        experiment.space(digits)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("search", "trials", "ten"),
        ("search", "trials", "10"),
        ("search", "trials", True),
        ("search", "trials", 0),
        ("search", "batch", 1.5),
        ("search", "workers", 0),
        ("search", "max_failed", 1.5),
        ("search", "objectives", []),
        ("search", "objectives", ["macs", "macs"]),
        ("search", "objectives", "macs"),
        ("search", "sampler", 3),
        ("training", "epochs", 0),
        ("training", "batch_size", 1),
        ("training", "learning_rate", -1e-3),
        ("training", "learning_rate", float("nan")),
        ("training", "learning_rate", True),
        ("training", "weight_decay", float("inf")),
        ("training", "weight_decay", False),
        ("training", "label_smoothing", 1.0),
        ("training", "label_smoothing", False),
        ("budgets", "macs", "many"),
        ("measurement", "certificate", 19),
        ("measurement", "threads", "two"),
        ("measurement", "threads", -1),
        ("measurement", "batch", 0),
        ("measurement", "dtype", 16),
        ("task", "dataset", ["digits"]),
    ],
)
def test_a_wrong_value_is_named_with_its_place(
    tiny_data: dict[str, Any], section: str, key: str, value: Any
) -> None:
    tiny_data[section] = tiny_data.get(section, {}) | {key: value}
    with pytest.raises(ExperimentError) as caught:
        Experiment.from_data(tiny_data, "my.toml")
    assert f"my.toml: `{section}.{key}" in str(caught.value)


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("compare", "arms", ["params", "all", "params"], "name each arm once"),
        ("search", "objectives", [], "name each indicator once, and at least one"),
    ],
)
def test_a_rule_of_our_own_is_told_in_its_own_words(
    tiny_data: dict[str, Any], section: str, key: str, value: Any, said: str
) -> None:
    changed = tiny_data | {section: tiny_data.get(section, {}) | {key: value}}
    with pytest.raises(ExperimentError) as caught:
        Experiment.from_data(changed, "x.toml")
    assert str(caught.value) == f"x.toml: `{section}.{key}`: {said}; got {value!r}."


@pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", "a b", 3])
def test_a_name_is_one_that_a_folder_can_have(tiny_data: dict[str, Any], name: Any) -> None:
    with pytest.raises(ExperimentError, match="`name`"):
        Experiment.from_data(tiny_data | {"name": name})


@pytest.mark.parametrize("seed", [-1, 2**31, True])
def test_a_seed_is_one_that_every_generator_takes(tiny_data: dict[str, Any], seed: Any) -> None:
    with pytest.raises(ExperimentError, match="`seed`"):
        Experiment.from_data(tiny_data | {"seed": seed})


@pytest.mark.parametrize("key", ["name", "spaces"])
def test_a_missing_key_is_named(tiny_data: dict[str, Any], key: str) -> None:
    del tiny_data[key]
    with pytest.raises(ExperimentError, match=f"`{key}` is missing"):
        Experiment.from_data(tiny_data)


def test_no_space_at_all_lists_the_known_ones(tiny_data: dict[str, Any]) -> None:
    with pytest.raises(ExperimentError, match=", ".join(SPACES)):
        Experiment.from_data(tiny_data | {"spaces": {}})


@pytest.mark.parametrize(
    "choices",
    [
        {"vit": {"depth": 3}},
        {"vit": {"depth": []}},
        {"vit": {"depth": [1.5]}},
        {"vit": {"depth": ["2"]}},
        {"vit": {"width": [10], "heads": [4]}},
        {"vit": {"patch_size": [9]}},
        {"vit": {"pool": "cls"}},
        {"vit": {"pool": ["max"]}},
        {"vit": {"mlp_ratio": [0]}},
        {"vit": {"mlp_ratio": [float("inf")]}},
        {"mbconv": {"kernel_size": [2]}},
        {"mbconv": {"squeeze": [1.0]}},
        {"mbconv": {"width": [[8], [8], [8]]}},
        {"mbconv": {"width": [[8], 8]}},
    ],
    ids=str,
)
def test_choices_that_make_no_network_are_an_error_of_their_space(
    digits: Dataset, choices: dict[str, Any]
) -> None:
    (space,) = choices
    with pytest.raises(ExperimentError, match=f"spaces.{space}"):
        Experiment.from_data({"name": "x", "spaces": choices}).space(digits)


@pytest.mark.parametrize(
    ("change", "key", "known"),
    [
        ({"spaces": {"vti": {}}}, "spaces", ["vit", "mbconv"]),
        ({"search": {"objectives": ["mac"]}}, "search.objectives", indicator_names()),
        ({"search": {"objectives": ["latency_s"]}}, "search.objectives", indicator_names()),
        ({"search": {"objectives": ["latency_s@locale"]}}, "search.objectives", ["local"]),
        ({"search": {"sampler": "nsga"}}, "search.sampler", ["cost-aware", "nsga2", "tpe"]),
        ({"budgets": {"energy": 1}}, "budgets", indicator_names()),
        ({"task": {"dataset": "digit"}}, "task.dataset", ["digits", "text"]),
        ({"training": {"optimizer": "adma"}}, "training.optimizer", list(OPTIMIZERS)),
    ],
    ids=str,
)
def test_an_unknown_name_says_where_it_stands_and_lists_the_known_ones(
    tiny: Callable[..., Experiment], change: dict[str, Any], key: str, known: list[str]
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        tiny(**change)
    assert str(caught.value).startswith(f"experiment: `{key}`: Unknown ")
    for name in known:
        assert name in str(caught.value)


def test_an_unknown_runtime_lists_the_known_ones(tiny: Callable[..., Experiment]) -> None:
    with pytest.raises(UnknownNameError, match="Known: onnxruntime"):
        tiny(measurement={"runtime": "onnx"})


def test_what_a_runtime_does_by_default_is_written_out(tiny: Callable[..., Experiment]) -> None:
    for runtime, dtype, threads, name in (
        ("onnxruntime", "fp32", 1, "onnxruntime-fp32-b1-t1"),
        ("cudagraph", "fp16", 0, "cudagraph-fp16-b1"),
    ):
        measurement = tiny(measurement={"runtime": runtime}).measurement
        assert (measurement.dtype, measurement.threads) == (dtype, threads)
        assert measurement.setting_name == name
    given = tiny(measurement={"dtype": "int8", "batch": 8, "threads": 2}).measurement
    assert given.setting_name == "onnxruntime-int8-b8-t2"
    assert (given.certificate, tiny(measurement={}).measurement.max_blocks) == (20, 400)
    assert MeasurementConfig().certificate == 100


def test_a_runtime_without_such_a_setting_is_an_error_of_the_experiment(
    tiny: Callable[..., Experiment],
) -> None:
    for wrong in ({"dtype": "fp8"}, {"threads": 0}):
        with pytest.raises(ExperimentError, match=f"`measurement`: .*`{next(iter(wrong))}`"):
            tiny(measurement=wrong).measurement.make_runtime()
    with pytest.raises(ExperimentError, match="take cudagraph on a GPU"):
        tiny().measurement.make_runtime("train_step_s")
    runtime = tiny(measurement={"batch": 4}).measurement.make_runtime()
    assert runtime.setting.name == "onnxruntime-fp32-b4-t1"


def test_profiles_are_named_by_place(
    tiny: Callable[..., Experiment], moon: HardwareProfile
) -> None:
    experiment = tiny(
        profiles=["moon:cudagraph-fp16-b8", "moon"],
        search={"objectives": ["macs", "energy_j@moon"]},
        budgets={"latency_s@local": 1.0, "macs": 5.0},
    )
    assert experiment.places == ("local", "moon:cudagraph-fp16-b8", "moon")
    assert experiment.steering == ("macs", "energy_j@moon", "latency_s@local")
    for wrong in ({"profiles": ["sun"]}, {"profiles": ["moon:fast"]}):
        with pytest.raises(UnknownNameError, match="experiment: `profiles`: Unknown "):
            tiny(**wrong)
    with pytest.raises(UnknownNameError, match=r"`budgets`: Unknown setting of profile moon"):
        tiny(budgets={"latency_s@moon:fast": 1.0})


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_is_above_zero(tiny: Callable[..., Experiment], limit: float) -> None:
    with pytest.raises(ExperimentError, match=r"`budgets\.macs` must be above 0"):
        tiny(budgets={"macs": limit})


def test_every_error_of_a_file_is_named_at_once(tiny_data: dict[str, Any]) -> None:
    tiny_data["search"] |= {"trails": 3, "batch": 0}
    with pytest.raises(ExperimentError) as caught:
        Experiment.from_data(tiny_data)
    assert "search.trails" in str(caught.value)
    assert "search.batch" in str(caught.value)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("search.trials=7", lambda e: e.search.trials == 7),
        ("seed=5", lambda e: e.seed == 5),
        ("name=other", lambda e: e.name == "other"),
        ("search.sampler=tpe", lambda e: e.search.sampler == "tpe"),
        ('search.sampler="random"', lambda e: e.search.sampler == "random"),
        ('search.objectives=["flops"]', lambda e: e.search.objectives == ("flops",)),
        ("spaces.vit.depth=[1]", lambda e: e.spaces["vit"]["depth"] == [1]),
        ("training.learning_rate=1e-2", lambda e: e.training.learning_rate == 0.01),
        ("budgets.macs=1e6", lambda e: e.budgets == {"macs": 1e6}),
        ('budgets."latency_s@local"=1e-3', lambda e: e.budgets == {"latency_s@local": 1e-3}),
        ("budgets.latency_s@local = 1e-3", lambda e: e.budgets == {"latency_s@local": 1e-3}),
    ],
)
def test_an_override_replaces_one_key(
    tiny_file: Callable[..., Path], override: str, expected: Callable[[Experiment], bool]
) -> None:
    experiment = Experiment.load(tiny_file(), [override])
    assert expected(experiment)


def test_the_last_override_counts(tiny_file: Callable[..., Path]) -> None:
    overrides = ["search.trials=7", "search.trials=8"]
    assert Experiment.load(tiny_file(), overrides).search.trials == 8


@pytest.mark.parametrize(
    "text", ["search.trials", "=3", " = 3", "name.first=x", "search..trials=3"]
)
def test_an_override_of_another_form_is_refused(tiny_file: Callable[..., Path], text: str) -> None:
    with pytest.raises(ExperimentError):
        Experiment.load(tiny_file(), [text])


def test_an_override_of_an_unknown_key_is_refused(tiny_file: Callable[..., Path]) -> None:
    with pytest.raises(ExperimentError, match=r"`search.trails`.*Did you mean `trials`"):
        Experiment.load(tiny_file(), ["search.trails=3"])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_to_toml_of_an_example_loads_as_the_same(path: Path, tmp_path: Path) -> None:
    experiment = Experiment.load(path)
    written = tmp_path / "again.toml"
    written.write_text(experiment.to_toml())
    again = Experiment.load(written)
    assert again == experiment
    assert again.to_toml() == experiment.to_toml()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**31 - 1),
    rate=st.floats(1e-300, 1e300),
    trials=st.integers(1, 10**9),
    objectives=st.lists(st.sampled_from(indicator_names()), min_size=1, unique=True),
    budgets=st.dictionaries(st.sampled_from(indicator_names()), st.floats(1e-300, 1e300)),
)
def test_to_toml_is_the_inverse_of_reading(
    seed: int, rate: float, trials: int, objectives: list[str], budgets: dict[str, float]
) -> None:
    experiment = Experiment.from_data(
        {
            "name": "x",
            "seed": seed,
            "spaces": {"vit": {"mlp_ratio": [0.5, 2]}, "mbconv": {"width": [[4], [8, 12]]}},
            "training": {"learning_rate": rate},
            "search": {"trials": trials, "objectives": objectives},
            "budgets": budgets,
        }
    )
    assert Experiment.from_data(tomllib.loads(experiment.to_toml())) == experiment


@pytest.mark.parametrize("content", [b"name = ", b"[spaces\n", b"\xff\xfe\x00"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(ExperimentError, match=r"bad\.toml is not TOML"):
        Experiment.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.toml"):
        Experiment.load(tmp_path / "none.toml")


@pytest.mark.parametrize("section", ["objective", "budget"])
def test_costs_of_generation_steer_only_where_all_generate(section: str) -> None:
    steer: dict[str, Any] = (
        {"search": {"objectives": ["decode_macs"]}}
        if section == "objective"
        else {"search": {"objectives": ["macs"]}, "budgets": {"decode_macs": 1e9}}
    )
    data = {"name": "x", "task": {"dataset": "text"}, "spaces": {"decoder": {}}, **steer}
    experiment = Experiment.from_data(data)
    assert experiment.space(experiment.load_dataset()).generates
    mixed = Experiment.from_data(data | {"spaces": {"decoder": {}, "encoder_decoder": {}}})
    with pytest.raises(ExperimentError, match="networks of encoder_decoder generate none"):
        mixed.space(mixed.load_dataset())


def test_a_budget_in_another_unit_is_converted(tiny: Callable[..., Experiment]) -> None:
    assert tiny(budgets={"latency_ms": 2, "peak_memory_kb": 3}).budgets == {
        "latency_s@local": 0.002,
        "peak_memory_bytes": 3000.0,
    }
    with pytest.raises(ExperimentError, match=r"`latency_kg`: kg does not fit"):
        tiny(budgets={"latency_kg": 2})
    with pytest.raises(ExperimentError, match="two budgets of `latency_s@local`"):
        tiny(budgets={"latency_ms": 2, "latency_s@local": 1})

"""What holds for every family: a random sample is built, trained, exported, priced and kept."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hw_profiles.onnx_graph import OUTPUT_NAME, input_names, write_onnx
from hw_profiles.onnxruntime_cpu import session
from hw_profiles.runtime import random_inputs
from search_spaces import (
    SPACES,
    Architecture,
    CountTable,
    SearchSpace,
    SparseSpace,
    TrainingSetup,
    UnionSpace,
    count,
    count_codes,
)
from search_spaces.network import Network

SAMPLE = 10
FAMILIES: dict[str, SearchSpace] = {name: cls() for name, cls in SPACES.items()} | {
    f"sparse {name}": SparseSpace(SPACES[name](), (0.0, 0.5, 0.9)) for name in ("vit", "mbconv")
}

each_family = pytest.mark.parametrize("space", FAMILIES.values(), ids=list(FAMILIES))


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


def sample(space: SearchSpace, n: int = SAMPLE) -> list[Architecture]:
    return [space.decode(row) for row in space.random_codes(n, np.random.default_rng(0))]


def inputs_of(architecture: Architecture, batch: int, seed: int = 0) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in random_inputs(architecture, batch, seed)]


@each_family
def test_json_gives_the_architecture_back(space: SearchSpace) -> None:
    for architecture in sample(space):
        read = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
        assert read == architecture
        assert read.id == architecture.id


@each_family
def test_the_config_of_an_architecture_makes_it_again(space: SearchSpace) -> None:
    for architecture in sample(space):
        assert space.architecture(architecture.config) == architecture


@each_family
def test_a_training_step_reaches_every_weight(space: SearchSpace) -> None:
    torch.manual_seed(0)
    for architecture in sample(space):
        network = Network(architecture).train()
        network(*inputs_of(architecture, 3)).square().mean().backward()
        without = [name for name, p in network.named_parameters() if p.grad is None]
        assert not without
        assert all(bool(p.grad.isfinite().all()) for p in network.parameters())


@each_family
def test_an_output_does_not_depend_on_the_rest_of_its_batch(space: SearchSpace) -> None:
    torch.manual_seed(0)
    for architecture in sample(space, 4):
        network = Network(architecture).eval()
        inputs = inputs_of(architecture, 5)
        with torch.inference_mode():
            together = network(*inputs)
            alone = torch.cat([network(*(x[i : i + 1] for x in inputs)) for i in range(5)])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@each_family
def test_the_exported_file_computes_what_the_network_does(space: SearchSpace) -> None:
    torch.manual_seed(0)
    for architecture in sample(space):
        network = Network(architecture).eval()
        weights = {name: t.numpy() for name, t in network.state_dict().items()}
        model = write_onnx(architecture, weights)
        onnx.checker.check_model(model, full_check=True)
        run = session(model.SerializeToString())
        for batch in (1, 3):
            inputs = random_inputs(architecture, batch, seed=batch)
            feed = dict(zip(input_names(architecture), inputs, strict=True))
            with torch.inference_mode():
                expected = network(*map(torch.from_numpy, inputs)).numpy()
            (found,) = run.run([OUTPUT_NAME], feed)
            np.testing.assert_allclose(found, expected, atol=2e-5, rtol=1e-4)


@each_family
def test_counts_are_those_of_the_whole_network(space: SearchSpace, table: CountTable) -> None:
    for architecture in sample(space):
        counts = count(architecture, table)
        with torch.device("meta"):
            network = Network(architecture).eval()
        assert counts.params == sum(p.numel() for p in network.parameters())
        tensors = [*network.parameters(), *network.buffers()]
        assert counts.model_bytes == 4 * sum(t.numel() for t in tensors if t.is_floating_point())
        inputs = [x.to("meta") for x in inputs_of(architecture, 1)]
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            network(*inputs)
        assert counts.macs == counter.get_total_flops() // 2
        assert counts.active_params <= counts.params
        assert counts.effective_macs <= counts.macs
        assert counts.memory_access_fused_bytes <= counts.memory_access_bytes


@each_family
def test_counting_codes_is_counting_each(space: SearchSpace, table: CountTable) -> None:
    codes = space.random_codes(40, np.random.default_rng(1))
    training = TrainingSetup(batch_size=7, optimizer="sam")
    arrays = count_codes(space, codes, table, training)
    for row, code in enumerate(codes):
        expected = dataclasses.asdict(count(space.decode(code), table, training))
        assert {name: int(values[row]) for name, values in arrays.items()} == expected


@pytest.mark.parametrize("ids", [False, True], ids=["images", "token ids"])
def test_counting_codes_of_a_union_is_counting_each(ids: bool, table: CountTable) -> None:
    members = [s for n, s in FAMILIES.items() if s.reads_ids == ids and "sparse" not in n]
    union = UnionSpace(members)
    codes = union.random_codes(60, np.random.default_rng(2))
    arrays = count_codes(union, codes, table)
    for row, code in enumerate(codes):
        expected = dataclasses.asdict(count(union.decode(code), table))
        assert {name: int(values[row]) for name, values in arrays.items()} == expected


@each_family
def test_equal_placements_are_equal_networks(space: SearchSpace) -> None:
    codes = space.random_codes(60, np.random.default_rng(3))
    ids = [space.decode(row).id for row in codes]
    rows = [row.tobytes() for row in space.placement_indices(codes)]
    assert len(set(ids)) == len(set(rows)) == len(set(zip(ids, rows, strict=True)))

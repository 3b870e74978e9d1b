"""Architectures as data: identity, JSON and what makes no network."""

import dataclasses
import hashlib
import json
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import (
    Architecture,
    FeedForward,
    MBConvSpace,
    Node,
    PatchEmbedding,
    UnionSpace,
    UnknownNameError,
    ViTHead,
    ViTSpace,
    chain,
)

UNION = UnionSpace([ViTSpace(), MBConvSpace()])
EMBEDDING = PatchEmbedding(1, 8, 4, 16, class_token=True)
LAYER = FeedForward(5, 16, 32, 0)
HEAD = ViTHead(5, 16, 10, "cls")
CHAIN = chain([EMBEDDING, LAYER, LAYER, HEAD])


def tied() -> Architecture:
    first, second, third, last = CHAIN
    return Architecture("vit", {}, (first, second, Node(LAYER, third.inputs, tie=1), last))


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1))
def test_json_and_back_is_the_identity(seed: int) -> None:
    architecture = UNION.decode(UNION.random_codes(1, np.random.default_rng(seed))[0])
    again = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    assert again == architecture
    assert (again.id, hash(again)) == (architecture.id, hash(architecture))
    assert again.to_json() == architecture.to_json()


def test_json_keeps_ties() -> None:
    again = Architecture.from_json(json.loads(json.dumps(tied().to_json())))
    assert again == tied()
    assert [node.tie for node in again] == [None, None, 1, None]


def test_id_is_of_the_network_and_not_of_where_it_came_from() -> None:
    here = Architecture("here", {"depth": 2}, CHAIN)
    there = Architecture("there", {}, CHAIN)
    assert here.id == there.id
    assert len(here.id) == 12
    assert set(here.id) <= set("0123456789abcdef")


def test_id_follows_blocks_wiring_and_ties(references: ModuleType) -> None:
    dense, join = references.Dense(4, 4), references.Join(4)
    first = Node(dense, (-1,))
    different = [
        Architecture("vit", {}, CHAIN),
        tied(),
        Architecture("vit", {}, chain([EMBEDDING, LAYER, HEAD])),
        Architecture("vit", {}, chain([EMBEDDING, LAYER, dataclasses.replace(HEAD, classes=9)])),
        Architecture("vit", {}, (first, Node(join, (0, -1)))),
        Architecture("vit", {}, (first, Node(join, (-1, 0)))),
    ]
    assert len({architecture.id for architecture in different}) == len(different)


def test_id_is_a_digest_of_the_canonical_json() -> None:
    text = (
        '[{"block":{"classes":10,"pool":"cls","tokens":5,"type":"ViTHead","width":16},'
        '"inputs":[-1]}]'
    )
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert Architecture("vit", {}, chain([HEAD])).id == digest[:12]


def test_chain_and_last_use(references: ModuleType) -> None:
    assert [node.inputs for node in CHAIN] == [(-1,), (0,), (1,), (2,)]
    assert Architecture("vit", {}, CHAIN).last_use() == (1, 2, 3, 3)
    dense, join = references.Dense(4, 4), references.Join(4)
    skip = (Node(dense, (-1,)), Node(dense, (0,)), Node(dense, (1,)), Node(join, (2, 0)))
    assert Architecture("vit", {}, skip).last_use() == (3, 2, 3, 3)


def test_a_sequence_of_nodes() -> None:
    architecture = Architecture("vit", {}, CHAIN)
    assert len(architecture) == 4
    assert tuple(architecture) == CHAIN
    assert architecture.blocks == (EMBEDDING, LAYER, LAYER, HEAD)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((), "`nodes` is empty"),
        ((Node(LAYER, ()),), "Node 0 reads 0 tensors, but its block .* takes 1"),
        ((Node(LAYER, (-1, -1)),), "Node 0 reads 2 tensors, but its block .* takes 1"),
        ((Node(LAYER, (0,)),), r"Node 0 reads \(0,\): a node reads earlier nodes, or -1"),
        ((Node(LAYER, (-2,)),), r"inputs are numbered -1, -2, ...; got \[-2\]"),
        ((Node(LAYER, (-1,)), Node(LAYER, (-1,))), "Node 0 is never read"),
        ((Node(LAYER, (-1,), tie=0),), "Node 0 is tied to 0, which is not an earlier"),
        ((Node(LAYER, (-1,)), Node(LAYER, (0,), tie=-1)), "Node 1 is tied to -1"),
        ((Node(EMBEDDING, (-1,)), Node(LAYER, (0,), tie=0)), "Node 1 is tied to 0"),
        (
            (Node(LAYER, (-1,)), Node(LAYER, (0,), tie=0), Node(LAYER, (1,), tie=1)),
            "Node 2 is tied to 1",
        ),
    ],
)
def test_nodes_that_make_no_network_are_refused(nodes: tuple[Node, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Architecture("vit", {}, nodes)


def changed(**fields: Any) -> dict[str, Any]:
    return Architecture("vit", {}, chain([HEAD])).to_json() | fields


def node(**fields: Any) -> dict[str, Any]:
    return changed()["nodes"][0] | fields


def block(**fields: Any) -> dict[str, Any]:
    return node()["block"] | fields


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed(colour="red"), "Unknown field of the architecture 'colour'"),
        (changed(nodes=[node(tei=0)]), "Unknown field of the node 'tei'. Did you mean 'tie'"),
        (
            changed(nodes=[node(block=block(type="VitHead"))]),
            "Unknown block type 'VitHead'. Did you mean 'ViTHead'",
        ),
        (
            changed(nodes=[node(block=block(tokenz=5))]),
            "Unknown field of block ViTHead 'tokenz'. Did you mean 'tokens'",
        ),
    ],
)
def test_unknown_names_are_refused_by_name(data: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        Architecture.from_json(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "Expected the fields of a JSON architecture, got list"),
        ({"space": "test", "config": {}}, "The architecture has no field 'nodes'"),
        (changed(nodes=[{"block": block()}]), "The node has no field 'inputs'"),
        (changed(nodes=["ViTHead"]), "Expected the fields of a JSON node, got str"),
        (changed(nodes=[node(block={"type": "ViTHead"})]), "Block ViTHead cannot be made"),
        (changed(nodes=[node(block=block(pool="max"))]), "`pool` must be one of"),
        (changed(nodes=[node(block="ViTHead")]), "block"),
        (changed(nodes=[node(inputs=3)]), "inputs"),
        (changed(nodes=[node(inputs=["x"])]), "inputs"),
        (changed(nodes=3), "nodes"),
        (changed(nodes=[node(inputs=[True])]), "`inputs` must be a list of positions; got"),
        (changed(nodes=[node(tie="0")]), "`tie` must be a position or absent; got '0'"),
        (changed(config=["depth"]), r"`config` must map names to choices; got \['depth'\]"),
        (changed(config={"depth": [2]}), "`config` must map names to choices"),
        (changed(space=3), "`space` must be a name; got 3"),
    ],
)
def test_data_of_another_form_is_refused(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Architecture.from_json(data)


def test_an_unknown_space_is_refused_with_the_known_ones() -> None:
    data = Architecture("elsewhere", {}, CHAIN).to_json()
    with pytest.raises(UnknownNameError, match=r"space 'elsewhere'.*decoder.*mbconv.*vit"):
        Architecture.from_json(data)

"""Spaces to data and back."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from search_spaces import SPACES, MBConvSpace, SearchSpace, SparseSpace, UnionSpace, ViTSpace
from search_spaces.profiled import PROFILED, profiled_space
from search_spaces.space_fields import space_fields, space_of_fields


def there_and_back(space: SearchSpace, **given: Any) -> SearchSpace:
    return space_of_fields(json.loads(json.dumps(space_fields(space))), **given)


@pytest.mark.parametrize("name", [*PROFILED, *SPACES])
def test_a_family_comes_back(name: str) -> None:
    assert there_and_back(profiled_space(name)) == profiled_space(name)


def test_a_union_of_a_sparse_family_comes_back() -> None:
    vit, mbconv = ViTSpace(depth=(2,), width=(16,)), MBConvSpace(depth=(1,))
    union = UnionSpace([SparseSpace(vit, (0.0, 0.5)), mbconv])
    again = there_and_back(union)
    assert isinstance(again, UnionSpace)
    assert again.describe() == union.describe()
    assert again.parameters == union.parameters


def test_fields_are_what_json_holds() -> None:
    space = ViTSpace(depth=range(2, 4), width=(16, 32))
    (fields,) = space_fields(space)
    assert json.loads(json.dumps(fields)) == fields
    assert fields["depth"] == [2, 3]
    assert there_and_back(space).describe() == space.describe()


@dataclass(frozen=True)
class Narrow(ViTSpace):
    """A space of a user's own, with fields that JSON does not know."""

    width: tuple[int, ...] = (16,)
    marker: object = object()
    markers: tuple[object, ...] = (object(),)


def test_a_space_of_a_users_own_names_its_class() -> None:
    space = Narrow(depth=(2,))
    (fields,) = space_fields(space)
    assert fields["class"].endswith("Narrow")
    assert "test_space_fields" in fields["class"]
    assert not {"marker", "markers"} & set(fields)
    asked = []

    def load(place: str) -> type[SearchSpace]:
        asked.append(place)
        return Narrow

    again = there_and_back(space, load=load)
    assert isinstance(again, Narrow)
    assert again.describe() == space.describe()
    assert asked == [fields["class"]]
    with pytest.raises(ValueError, match="not built in"):
        there_and_back(space)


@pytest.mark.parametrize(
    "member", [{"space": "moon"}, {"space": "vit", "wings": 2}, {"space": "vit", "depth": []}]
)
def test_what_makes_no_space_is_a_value_error(member: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"moon|wings|depth"):
        space_of_fields([member])

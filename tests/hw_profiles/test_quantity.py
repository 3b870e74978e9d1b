"""Quantities: what is run for each."""

import numpy as np
import pytest

from hw_profiles import QUANTITIES
from hw_profiles.quantity import quantity
from search_spaces import UnknownNameError, ViTSpace
from search_spaces.decoder import DecoderSpace
from search_spaces.decoding import decoding_step


def test_names_say_their_units() -> None:
    endings = {"s": "_s", "J": "_j"}
    for name, item in QUANTITIES.items():
        assert item.name == name
        assert name.endswith(endings[item.unit])
        assert quantity(name) is item


def test_training_is_what_is_called_so() -> None:
    assert {name for name, item in QUANTITIES.items() if item.training} == {
        name for name in QUANTITIES if name.startswith("train_")
    }


def test_unknown_one_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r"quantity 'latency'.*latency_s, decode_step_s"):
        quantity("latency")


def test_networks_run_as_they_are_but_for_the_decoding_step(vit: ViTSpace) -> None:
    decoder = DecoderSpace(vocabulary=(64,), context=(8,), depth=(2,), width=(16,), heads=(2,))
    network = decoder.decode(decoder.random_codes(1, np.random.default_rng(0))[0])
    for name, item in QUANTITIES.items():
        run = item.network(network)
        if name == "decode_step_s":
            assert run == decoding_step(network)
            # One token, and keys and values of the seven before it for each of two layers.
            assert run.input_shapes[0] == (1,)
            assert len(run.input_shapes) == 1 + 2 * 2
        else:
            assert run is network
    image = vit.decode([0] * len(vit.parameters))
    with pytest.raises(ValueError, match="one token at a time"):
        quantity("decode_step_s").network(image)

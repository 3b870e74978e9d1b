"""What a table is bound to."""

import platform
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hw_profiles import BlockTable, Device, Setting, gpu_device, local_device
from hw_profiles.errors import UnavailableError
from search_spaces import ViTSpace


def test_this_machine_is_the_same_one_twice() -> None:
    assert local_device().identity == local_device().identity
    assert local_device().machine == platform.machine()
    assert local_device().kind == "cpu"
    assert Device(**local_device().to_json()) == local_device()


def test_identity_leaves_out_what_may_vary(device: Device) -> None:
    assert device.identity == {"name": "Fake 1", "machine": "x86_64", "features": "abc"}
    assert replace(device, memory_bytes=1, cores=1).identity == device.identity


def test_setting_is_named_by_what_varies() -> None:
    setting = Setting("onnxruntime", "1.31.0", dtype="int8", batch=8, threads=4)
    assert setting.name == "onnxruntime-int8-b8-t4"
    assert Setting(**setting.to_json()) == setting


def test_setting_without_threads_of_the_host_does_not_name_them() -> None:
    assert Setting("cudagraph", "2.13", "fp16", 64, threads=0).name == "cudagraph-fp16-b64"


def test_differences_stand_side_by_side(
    vit: ViTSpace, device: Device, make_table: Callable[..., BlockTable]
) -> None:
    table = make_table(vit)
    assert table.differences(device, table.setting) == {}
    other = replace(device, name="Fake 2", memory_bytes=1)
    assert table.differences(other, Setting("fake", "2.0", threads=2)) == {
        "name": ("Fake 1", "Fake 2"),
        "version": ("1.0", "2.0"),
        "threads": (1, 2),
    }


def test_without_a_gpu_it_is_said_what_can_still_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UnavailableError, match=r"No CUDA device is here\. Shipped .* priced"):
        gpu_device()


def test_gpu_is_what_its_driver_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {
        "name": "Fake H1",
        "major": 9,
        "minor": 0,
        "multi_processor_count": 132,
        "L2_cache_size": 50 << 20,
        "total_memory": 80 << 30,
    }
    properties = {0: told, 1: told | {"L2_cache_size": 60 << 20}, 2: told | {"total_memory": 1}}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda index: SimpleNamespace(**properties[index])
    )
    first, other_cache, other_memory = map(gpu_device, range(3))
    assert (first.name, first.machine, first.cores) == ("Fake H1", "sm_90", 132)
    assert (first.memory_bytes, first.kind) == (80 << 30, "gpu")
    assert gpu_device() == first
    # The cache decides how fast networks run; how much memory there is does not.
    assert other_cache.identity != first.identity
    assert other_memory.identity == first.identity

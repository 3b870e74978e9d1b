"""What a latency table is bound to."""

import platform
from collections.abc import Callable
from dataclasses import replace

from hw_profiles import Device, LatencyTable, Setting, local_device
from search_spaces import ViTSpace


def test_this_machine_is_the_same_one_twice() -> None:
    assert local_device().identity == local_device().identity
    assert local_device().machine == platform.machine()
    assert Device(**local_device().to_json()) == local_device()


def test_identity_leaves_out_what_may_vary(device: Device) -> None:
    assert device.identity == {"name": "Fake 1", "machine": "x86_64", "features": "abc"}
    assert replace(device, memory_bytes=1, cores=1).identity == device.identity


def test_setting_is_named_by_what_varies() -> None:
    setting = Setting("onnxruntime", "1.31.0", dtype="int8", batch=8, threads=4)
    assert setting.name == "onnxruntime-int8-b8-t4"
    assert Setting(**setting.to_json()) == setting


def test_differences_stand_side_by_side(
    vit: ViTSpace, device: Device, make_table: Callable[..., LatencyTable]
) -> None:
    table = make_table(vit)
    assert table.differences(device, table.setting) == {}
    other = replace(device, name="Fake 2", memory_bytes=1)
    assert table.differences(other, Setting("fake", "2.0", threads=2)) == {
        "name": ("Fake 1", "Fake 2"),
        "version": ("1.0", "2.0"),
        "threads": (1, 2),
    }

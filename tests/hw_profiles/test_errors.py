"""Refusals that show both sides."""

from dataclasses import replace

import pytest

from hw_profiles import BlockTable, Device, Entry, Setting
from hw_profiles.errors import ForeignTableError

ENTRY = Entry(1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 9)
DEVICE = Device("Fake 1", "x86_64", cores=4, memory_bytes=8 << 30, features="abc")
SETTING = Setting("fake", "1.0", batch=1)
TABLE = BlockTable("latency_s", DEVICE, SETTING, "vit", "", ENTRY, {}, {})


def test_a_table_is_at_home_where_it_was_made() -> None:
    TABLE.check_made_on(DEVICE, SETTING)
    TABLE.check_made_on(replace(DEVICE, cores=2, memory_bytes=1), SETTING)  # These may vary.


def test_the_differing_fields_stand_side_by_side() -> None:
    with pytest.raises(ForeignTableError) as caught:
        TABLE.check_made_on(
            replace(DEVICE, name="Other 22"), Setting("fake", "2.0", batch=16), "Measure anew."
        )
    assert caught.value.differences == {
        "name": ("Fake 1", "Other 22"),
        "version": ("1.0", "2.0"),
        "batch": (1, 16),
    }
    said, *lines = str(caught.value).splitlines()
    assert said.startswith("The table of latency_s in fake-fp32-b1-t1 over space vit is of another")
    assert lines == [
        "         there   here",
        "name     Fake 1  Other 22",
        "version  1.0     2.0",
        "batch    1       16",
        "Measure anew.",
    ]

"""Devices, runtimes, and tables that say how wrong they are."""

from hw_profiles.certificate import Certificate, Measured, Score
from hw_profiles.device import Device, gpu_device, local_device
from hw_profiles.quantity import QUANTITIES, Quantity
from hw_profiles.runtime import RUNTIMES, Run, Runtime, Setting, make_runtime
from hw_profiles.table import BlockTable, Entry, MissingBlockError, space_digest

__all__ = [
    "QUANTITIES",
    "RUNTIMES",
    "BlockTable",
    "Certificate",
    "Device",
    "Entry",
    "Measured",
    "MissingBlockError",
    "Quantity",
    "Run",
    "Runtime",
    "Score",
    "Setting",
    "gpu_device",
    "local_device",
    "make_runtime",
    "space_digest",
]

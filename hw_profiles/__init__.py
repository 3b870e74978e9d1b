"""Devices, runtimes, and latency tables that say how wrong they are."""

from hw_profiles.certificate import Certificate, Measured, Score
from hw_profiles.device import Device, local_device
from hw_profiles.runtime import RUNTIMES, OnnxRuntimeCpu, Run, Runtime, Setting
from hw_profiles.table import LatencyTable, MissingBlockError, Timing, space_digest

__all__ = [
    "RUNTIMES",
    "Certificate",
    "Device",
    "LatencyTable",
    "Measured",
    "MissingBlockError",
    "OnnxRuntimeCpu",
    "Run",
    "Runtime",
    "Score",
    "Setting",
    "Timing",
    "local_device",
    "space_digest",
]

"""Does a model fit a device, and how fast will it be? Told from headers alone.

>>> from aboard.planning import Device, measure_device, plan
>>> plan("smollm2-135m.gguf", measure_device(), context=2048)            # doctest: +SKIP

`device.py` is what is known of a device, `device_file.py` its file; `measuring.py` measures this
machine; `ladder.py` says which types a model's tensors can have; `speed.py` predicts, by what
`efficiency.py` holds of measurements; `plan.py` puts it together, `choice.py` recommends, and
`room.py` says what is left for weights.
"""

from __future__ import annotations

from aboard.planning.choice import Candidate
from aboard.planning.choosing_device import THIS_MACHINE, chosen_device, device_named
from aboard.planning.device import Ceiling, Device, given_device
from aboard.planning.device_file import read_device, write_device
from aboard.planning.measuring import measure_device
from aboard.planning.plan import Plan, plan
from aboard.planning.room import Room, room_for_weights
from aboard.planning.speed import Range, Speeds
from aboard.planning.units import parse_bandwidth, parse_size

__all__ = [
    "THIS_MACHINE",
    "Candidate",
    "Ceiling",
    "Device",
    "Plan",
    "Range",
    "Room",
    "Speeds",
    "chosen_device",
    "device_named",
    "given_device",
    "measure_device",
    "parse_bandwidth",
    "parse_size",
    "plan",
    "read_device",
    "room_for_weights",
    "write_device",
]

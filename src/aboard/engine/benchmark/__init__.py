"""How fast a model is on this machine, beside what the machine allows and beside other engines.

Decoding reads every weight once per token, so it is bound by the bandwidth of the memory; a prompt
is bound by the integer peak of the cores. Both bounds are measured in the rounds of the same run,
as are the other engines: a virtual machine's memory swings by a quarter from one second to the
next, so only figures of the same round are set against each other.
"""

from __future__ import annotations

from aboard.engine.benchmark.peer import Peer, PeerSpec, llama_cpp, peers_by_name
from aboard.engine.benchmark.plan import Plan, counts
from aboard.engine.benchmark.report import (
    Against,
    BenchReport,
    Ceiling,
    HugePages,
    PeerAbout,
    Speed,
    Spread,
)
from aboard.engine.benchmark.rounds import benchmark
from aboard.engine.benchmark.work import Contender, OwnEngine, Work

__all__ = [
    "Against",
    "BenchReport",
    "Ceiling",
    "Contender",
    "HugePages",
    "OwnEngine",
    "Peer",
    "PeerAbout",
    "PeerSpec",
    "Plan",
    "Speed",
    "Spread",
    "Work",
    "benchmark",
    "counts",
    "llama_cpp",
    "peers_by_name",
]

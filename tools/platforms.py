"""Checks that machines other than this one compute the same bits (level B of the contract).

    python tools/platforms.py [--demo MODEL]

Builds the engine without Python for AArch64 (cross compiler, run by qemu-user), for AVX-512 and
VNNI (their intrinsics in plain C++), for AVX-VNNI in its AVX-512 encoding where the CPU has that,
with clang, and with sanitizers; replays tiny random models of every format, encoders and, if given,
the demo model; compares every logit, and every vector, with this machine's.
Fails where a compiler or the emulator is missing.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import aboard
from aboard import EmbeddingModel
from aboard.artifact.importing import import_checkpoint
from aboard.engine.device import supported_isas

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from replay import write_flat  # noqa: E402
from replay_encoder import write_flat_encoder  # noqa: E402

from tiny import FORMATS, tiny_llama  # noqa: E402
from tiny_differing import DIFFERING  # noqa: E402
from tiny_encoders import PIECES, TinyBert, bert_folder  # noqa: E402
from tiny_families import Tiny, tiny_model  # noqa: E402

AARCH64_RUNNER = ("qemu-aarch64-static",)
N_TOKENS = 135  # more than two chunks of 64 keys
# Whose sequences, callers and processes also run at once: a matter of threads, not of formats.
TOGETHER = (
    "Q4_0",
    "F16",
    "ragged rows",
    "int8 cache",
    "gemma3",
    "olmo2",
    "lfm2",
    "qwen35",
    "gemma4",
)
# Models that between them have what Llama lacks.
QUIRKS = (
    Tiny(
        "gemma3",
        biases=("qkv", "output", "ffn"),
        own={"attention.sliding_window": 70, "final_logit_softcapping": 20.0},
    ),
    Tiny("gemma2", own={"attention.sliding_window": 40, "attn_logit_softcapping": 3.0}),
    Tiny("olmo2", head_dim=24, ffn=172),
    Tiny("phi3", own={"rope.dimension_count": 12}),
    Tiny("granite", own={"logit_scale": 8.0, "residual_scale": 0.22, "embedding_scale": 12.0}),
    Tiny(
        "mistral3",
        own={
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 32,
            "attention.temperature_scale": 0.3,
        },
    ),
    Tiny(
        "lfm2",
        layers=3,
        width=72,
        heads=3,
        kv_heads=1,
        head_dim=24,
        own={
            "shortconv.l_cache": 4,
            "attention.head_count_kv": np.array([0, 1, 0], np.int32),
        },
    ),
    Tiny(
        "qwen35",
        layers=3,
        width=72,
        heads=3,
        kv_heads=1,
        head_dim=24,
        own={
            "rope.dimension_count": 6,
            "full_attention_interval": 2,
            "ssm.conv_kernel": 4,
            "ssm.state_size": 20,
            "ssm.group_count": 2,
            "ssm.time_step_rank": 4,
            "ssm.inner_size": 80,
        },
    ),
    DIFFERING,
)
# Widths that are no whole blocks, heads of 12 to 40, and both ways to make a vector of a text.
ENCODERS = {
    "bert": (TinyBert(), "q8_0", False),
    "bert in 4 bits": (TinyBert(width=128, heads=4, ffn=192), "q4_0", False),
    "ragged bert": (TinyBert(width=60, heads=5, ffn=100, pooling="cls"), None, False),
    "bert with float32 activations": (TinyBert(width=80, heads=2), None, True),
}
TEXT_LENGTHS = (1, 2, 15, 16, 17, 64, 65, 128, 150)  # around the 16 queries and 64 keys of a tile
DEMO_TEXT = "The same tokens on every CPU, provable by hash: that is what"


Expected = tuple[str, Path, np.ndarray]
"""Name, flat file, and the values that a replay of it must give."""


@dataclass(frozen=True)
class Platform:
    """One way to build and run the engine."""

    name: str
    options: Sequence[str]
    runner: Sequence[str] = ()
    isas: Sequence[str] = ()
    """Those it must run; empty: all that this machine has."""
    environment: dict[str, str] = field(default_factory=dict)
    demo: bool = True


def platforms() -> list[Platform]:
    cross = [
        "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        "-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++",
        "-DCMAKE_EXE_LINKER_FLAGS=-static",
    ]
    # With sanitizers -O3 takes minutes a file; the bits may not depend on it anyway.
    quick = ["-DCMAKE_CXX_FLAGS_RELEASE=-O1"]
    found = [
        Platform("aarch64", cross, AARCH64_RUNNER, ("neon_dot", "scalar")),
        Platform("clang", ["-DCMAKE_CXX_COMPILER=clang++-14"], demo=False),
        Platform(
            "x86-64 with emulated AVX-512 and VNNI",
            ["-DABOARD_EMULATED_X86=ON"],
            isas=("avx512vnni", "avxvnni"),
            demo=False,
        ),
        Platform(
            "address and undefined-behaviour sanitizers",
            ["-DABOARD_SANITIZE=address,undefined", *quick],
            environment={"UBSAN_OPTIONS": "halt_on_error=1"},
            demo=False,
        ),
        Platform(
            "thread sanitizer",
            ["-DABOARD_SANITIZE=thread", *quick],
            # A forked child starts a team of its own, which the sanitizer has to be told to allow.
            environment={"TSAN_OPTIONS": "halt_on_error=1 die_after_fork=0"},
            demo=False,
        ),
    ]
    if "avx512vnni" in supported_isas() and "avxvnni" not in supported_isas():
        options = ["-DABOARD_AVXVNNI_AS_EVEX=ON"]
        found.append(Platform("AVX-VNNI in AVX-512 encoding", options, isas=("avxvnni",)))
    return found


def build(platform: Platform, folder: Path) -> Path:
    """The replay program for `platform`."""
    cmake = [
        "cmake", "-G", "Ninja", "-S", str(ROOT / "native"), "-B", str(folder),
        "-DCMAKE_BUILD_TYPE=Release", "-DABOARD_PYTHON=OFF", "-DABOARD_REPLAY=ON",
        "-DABOARD_WERROR=ON", *platform.options,
    ]  # fmt: skip
    for command in (cmake, ["ninja", "-C", str(folder), "replay"]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{platform.name}: {' '.join(command)}\n{done.stdout}{done.stderr}")
    return folder / "replay"


def replay(
    platform: Platform, program: Path, flat: Path, threads: int, isa: str, *options: str
) -> np.ndarray:
    """All logits, float32."""
    command = [*platform.runner, str(program), str(flat), str(threads), isa, *options]
    environment = {**os.environ, **platform.environment}
    done = subprocess.run(command, capture_output=True, env=environment)
    if done.returncode:
        sys.exit(f"{platform.name}, {isa}: {done.stderr.decode()}")
    return np.frombuffer(done.stdout, "<f4")


def encoders(folder: Path) -> list[Expected]:
    """(name, flat file, expected vectors) of every encoder."""
    found = []
    ends = np.cumsum(TEXT_LENGTHS)
    texts = [
        [(7 * i) % len(PIECES) for i in range(end - n, end)]
        for n, end in zip(TEXT_LENGTHS, ends, strict=True)
    ]
    for number, (name, (shape, fmt, floats)) in enumerate(ENCODERS.items()):
        path, flat = folder / f"encoder{number}.gguf", folder / f"encoder{number}.flat"
        import_checkpoint(
            bert_folder(folder / f"encoder{number}", shape, seed=number), path, type=fmt
        )
        write_flat_encoder(path, texts, flat, floats=floats)
        model = aboard.load(path, activations="float32" if floats else "int8")
        assert isinstance(model, EmbeddingModel)
        found.append((name, flat, model.embed_tokens(texts, normalize=True).reshape(-1)))
    return found


def models(folder: Path, demo: Path | None) -> list[Expected]:
    """(name, flat file, expected logits) of everything else that is replayed."""
    made = []
    for fmt in FORMATS:
        path = tiny_llama(
            folder / f"{fmt}.gguf", fmt=fmt, width=256, heads=4, kv_heads=2, ffn=512, layers=2
        )
        made.append((fmt, path, "f16", [(7 * i + 1) % 259 for i in range(N_TOKENS)]))
    odd = tiny_llama(folder / "odd.gguf", width=72, heads=3, kv_heads=1, head_dim=24, ffn=172)
    made.append(("ragged rows", odd, "f16", list(range(N_TOKENS))))
    made.append(("int8 cache", odd, "int8", list(range(N_TOKENS))))
    made.append(("float32 activations", odd, "f32", list(range(N_TOKENS))))
    for shape in QUIRKS:
        path = tiny_model(folder / f"{shape.family}.gguf", shape)
        made.append((shape.family, path, "f16", list(range(N_TOKENS))))
    if demo is not None:
        made.append(("demo model", demo, "f16", aboard.load(demo).tokenizer.encode(DEMO_TEXT)))
    found = []
    for number, (name, path, kv, tokens) in enumerate(made):
        flat = folder / f"{number}.flat"
        write_flat(path, tokens, 33, flat, kv)
        exact = {"activations": "float32"} if kv == "f32" else {"kv": kv}
        model = aboard.load(path, context=len(tokens), **exact)
        found.append((name, flat, model.logits(tokens).reshape(-1)))
    return found


def check(
    platform: Platform, program: Path, isa: str, threads: int, expected: Sequence[Expected]
) -> int:
    """Replay all models that the platform has time for; how many gave the same bits."""
    chosen = [
        each for each in expected if each[0] != "demo model" or (threads == 1 and platform.demo)
    ]

    def compare(each: Expected) -> None:
        model, flat, values = each
        options = ["together"] if threads > 1 and model in TOGETHER else []
        options = ["encoder"] if model in ENCODERS else options
        got = replay(platform, program, flat, threads, isa, *options)
        if got.tobytes() != values.tobytes():
            differing = int(np.argmax(got != values)) if got.size else 0
            sys.exit(
                f"{platform.name}, {isa}, {threads} threads: {model} differs from "
                f"value {differing} on"
            )

    # Several at once where each takes one core.
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // threads)) as pool:
        for _ in pool.map(compare, chosen):
            pass
    return len(chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", type=Path, help="the demo model, for the slow part")
    demo = parser.parse_args().demo
    with tempfile.TemporaryDirectory(prefix="aboard-platforms-") as name:
        folder = Path(name)
        expected = models(folder, demo) + encoders(folder)
        for platform in platforms():
            program = build(platform, folder / platform.name.replace(" ", "-"))
            for isa in platform.isas or supported_isas():
                for threads in (1, 3):
                    checked = check(platform, program, isa, threads, expected)
                    print(f"{platform.name}, {isa}, {threads} threads: {checked} models, same bits")


if __name__ == "__main__":
    main()

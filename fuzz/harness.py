"""What the Python targets share: limits of memory and time, the start of atheris, and seeds."""

import hashlib
import resource
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path


def fuzz(examine: Callable[[bytes], object], *, max_cpu_s: float, max_address_space: int) -> None:
    """Feed `examine` until a limit that libFuzzer was given; its options are the arguments.

    An input that takes longer than `max_cpu_s` of CPU time is a finding, as is any exception.
    """
    import atheris

    resource.setrlimit(resource.RLIMIT_AS, (max_address_space, max_address_space))

    def one_input(data: bytes) -> None:
        start = time.process_time()
        examine(data)
        elapsed_s = time.process_time() - start
        if elapsed_s > max_cpu_s:
            raise TimeoutError(f"{elapsed_s:.2f} s of CPU time for {len(data)} bytes")

    command = f"{sys.executable} {sys.argv[0]}"  # by which -merge and -minimize_crash start more
    atheris.Setup([command, *sys.argv[1:]], one_input)
    atheris.Fuzz()


def write_seeds(seeds: Iterable[bytes]) -> None:
    """Write the seeds to the folder that the command line names, each named by its hash."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (folder / hashlib.sha1(seed).hexdigest()).write_bytes(seed)

"""The rounds of a benchmark: in each of them every engine does all work once, bounds beside it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from aboard.checkpoint.gguf import open_gguf
from aboard.engine.benchmark import machine
from aboard.engine.benchmark.ceilings import Ceilings
from aboard.engine.benchmark.peer import Peer, PeerSpec, Variant
from aboard.engine.benchmark.plan import Plan
from aboard.engine.benchmark.report import (
    Against,
    BenchReport,
    HugePages,
    PeerAbout,
    Speed,
    Spread,
)
from aboard.engine.benchmark.work import Contender, OwnEngine, Work, token_ids
from aboard.engine.device import usable_cores
from aboard.engine.loading import load
from aboard.engine.model import Model
from aboard.errors import ContextOverflow, naming
from aboard.models import DecoderModel, describe_model

FIRST_PROMPT = 16
_PAUSE_S = 0.05  # the threads of the engine that was at work may still be spinning

Progress = Callable[[str], None]


def benchmark(
    path: str | Path,
    plan: Plan | None = None,
    *,
    against: Sequence[PeerSpec] = (),
    progress: Progress = lambda line: None,
) -> BenchReport:
    """Measure the model at `path`.

    Parameters
    ----------
    path : str or Path
        A GGUF file.
    plan : Plan, optional
        What to measure; the default is a prompt and decoding in an empty context, on all cores.
    against : sequence of PeerSpec
        Other engines to measure in the same rounds, on the same file.
    progress : callable
        Told, in words, what is done next.

    Raises
    ------
    ContextOverflow
        The model's context doesn't hold so many tokens.
    PeerError
        Another engine doesn't start, can't load the model, fails or dies.
    AboardError
        As for `aboard.load`.
    """
    from aboard import _native

    plan = plan or Plan()
    cores = usable_cores()
    _require_room(Path(path), plan.longest)
    progress("loading the model")
    began = time.perf_counter()
    model = load(path, threads=min(max(plan.threads), cores), kv=plan.kv)
    load_s = time.perf_counter() - began
    with ExitStack() as held:
        own = held.enter_context(OwnEngine(model))  # first: an encoder has no sessions
        first = min(FIRST_PROMPT, model.context_length)
        own.session.prefill(token_ids(0, first, model.config.n_vocabulary))
        first_token_s = time.perf_counter() - began
        progress("warming up")
        works = [_works(plan, context) for context in sorted(plan.contexts, reverse=True)]
        for work in works[0]:
            if work.sequences == 1:
                own.seconds(work)
        peak_rss_bytes = machine.peak_rss_bytes()
        ceilings = Ceilings(max(plan.threads), cores)
        huge_pages = _huge_pages(own, ceilings)
        costs = _Costs.of(own)
        peers = []
        for spec in against:
            progress(f"starting {spec.name}")
            peers.append(held.enter_context(Peer(spec, path, context=plan.longest)))
        speeds = []
        for at_context in works:
            tallies = _measure(own, peers, ceilings, at_context, plan.rounds, progress)
            speeds += _speeds(tallies, costs, peers)
    return BenchReport(
        model=Path(path).name,
        processor=machine.processor(),
        cores=cores,
        isa=_native.active_isa(),
        prompt=plan.prompt,
        tokens=plan.tokens,
        rounds=plan.rounds,
        load_s=load_s,
        first_token_s=first_token_s,
        peak_rss_bytes=peak_rss_bytes,
        kv=plan.kv,
        weight_bytes_per_token=costs.weight_bytes,
        kv_bytes_per_token=costs.kv_bytes,
        huge_pages=huge_pages,
        ceilings=ceilings.report(),
        speeds=tuple(sorted(speeds, key=lambda speed: (speed.context, speed.threads))),
        peers=tuple(
            PeerAbout(name=peer.spec.name, version=peer.version, load_s=peer.load_s)
            for peer in peers
        ),
    )


def _require_room(path: Path, n_tokens: int) -> None:
    """Refuse more tokens than the model's context holds, by the file's header alone."""
    with open_gguf(path) as file, naming(path):
        config = describe_model(file.metadata, frozenset(file.tensors))
    if isinstance(config, DecoderModel) and n_tokens > config.context_length:
        raise ContextOverflow(
            f"{n_tokens} tokens, the model's context holds {config.context_length}",
            hint="Ask for fewer: --context, --prompt, --tokens.",
        )


@dataclass(frozen=True, slots=True)
class _Costs:
    """What a token costs: bytes of weights, bytes a token of context adds, integer operations."""

    weight_bytes: int
    kv_bytes: int
    operations: int

    @classmethod
    def of(cls, own: OwnEngine) -> _Costs:
        from aboard import _native

        kv_bytes = own.session.cache.chunk_bytes // _native.KEY_CHUNK
        return cls(own.model.decode_weight_bytes, kv_bytes, _operations_per_token(own.model))

    def bound(self, work: Work, ceiling: float) -> float:
        """Tokens a second of all sequences together that `ceiling`, a second, allows."""
        if work.kind == "prompt":
            return ceiling / self.operations
        held = work.context + work.n_tokens // 2
        step_bytes = self.weight_bytes + work.sequences * held * self.kv_bytes
        return ceiling * work.sequences / step_bytes


@dataclass(slots=True)
class _Tally:
    """What the rounds gave for one piece of work: seconds by contender, and its bound."""

    work: Work
    seconds: dict[str, list[float]] = field(default_factory=dict)
    ceilings: list[float] = field(default_factory=list)

    def rates(self, name: str) -> list[float]:
        """Tokens a second, round by round."""
        n_tokens = self.work.n_tokens * self.work.sequences
        return [n_tokens / each for each in self.seconds[name]]


_OWN = "aboard"


def _works(plan: Plan, context: int) -> list[Work]:
    """All work in one context."""
    found = []
    for threads in plan.threads:
        if plan.prompt:
            found.append(
                Work(kind="prompt", threads=threads, context=context, n_tokens=plan.prompt)
            )
        if plan.tokens:
            found.append(
                Work(kind="decode", threads=threads, context=context, n_tokens=plan.tokens)
            )
        if plan.sequences > 1:
            found.append(
                Work(
                    kind="together",
                    threads=threads,
                    context=context,
                    n_tokens=plan.tokens,
                    sequences=plan.sequences,
                )
            )
    return found


def _measure(
    own: OwnEngine,
    peers: Sequence[Peer],
    ceilings: Ceilings,
    works: Sequence[Work],
    rounds: int,
    progress: Progress,
) -> list[_Tally]:
    """The tallies of `works`, which share a context."""
    contenders: dict[str, Contender] = {_OWN: own}
    for peer in peers:
        contenders |= {_key(peer, name): Variant(peer, name) for name in peer.variants}
    tallies = [_Tally(work) for work in works]
    for turn in range(rounds + 1):
        what = f"round {turn} of {rounds}" if turn else "round to warm up"
        progress(f"context of {works[0].context} tokens: {what}")
        ceilings.sample_all()
        for tally in tallies:
            found = dict(_turn(tally.work, contenders, ceilings, turn))
            if turn == 0:
                continue
            tally.ceilings.append(found.pop("ceiling"))
            for name, seconds in found.items():
                tally.seconds.setdefault(name, []).append(seconds)
    return tallies


def _turn(
    work: Work, contenders: Mapping[str, Contender], ceilings: Ceilings, turn: int
) -> Iterator[tuple[str, float]]:
    """Seconds by contender, in an order that turns, and what the machine allowed ours."""
    names = [_OWN] if work.sequences > 1 else list(contenders)
    first = turn % len(names)
    for name in names[first:] + names[:first]:
        time.sleep(_PAUSE_S)
        if name != _OWN:
            yield name, contenders[name].seconds(work)
            continue
        before = ceilings.of(work.kind, work.threads)
        yield name, contenders[name].seconds(work)
        yield "ceiling", max(before, ceilings.of(work.kind, work.threads))


def _speeds(tallies: Sequence[_Tally], costs: _Costs, peers: Sequence[Peer]) -> list[Speed]:
    """What the tallies say."""
    decoding = {
        tally.work.threads: tally.rates(_OWN) for tally in tallies if tally.work.kind == "decode"
    }
    speeds = []
    for tally in tallies:
        work, rates = tally.work, tally.rates(_OWN)
        bounds = [costs.bound(work, ceiling) for ceiling in tally.ceilings]
        together = work.kind == "together"
        speeds.append(
            Speed(
                kind=work.kind,
                threads=work.threads,
                context=work.context,
                sequences=work.sequences,
                tokens_per_s=Spread.of(rates),
                bound_tokens_per_s=Spread.of(bounds),
                bound_fraction=Spread.of(_ratios(rates, bounds)),
                ratio_to_one=(
                    Spread.of(_ratios(rates, decoding[work.threads])) if together else None
                ),
                against=() if together else tuple(_against(tally, peer) for peer in peers),
            )
        )
    return speeds


def _against(tally: _Tally, peer: Peer) -> Against:
    """Our rates beside those of the peer's fastest variant."""
    rates = {name: tally.rates(_key(peer, name)) for name in peer.variants}
    medians = {name: statistics.median(values) for name, values in rates.items()}
    baseline = max(medians, key=medians.__getitem__)
    return Against(
        name=peer.spec.name,
        baseline=baseline,
        tokens_per_s=Spread.of(rates[baseline]),
        variants=medians,
        ratio=Spread.of(_ratios(tally.rates(_OWN), rates[baseline])),
    )


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [our / their for our, their in zip(ours, theirs, strict=True)]


def _key(peer: Peer, variant: str) -> str:
    return f"{peer.spec.name}, {variant}"


def _huge_pages(own: OwnEngine, ceilings: Ceilings) -> HugePages:
    fraction = machine.huge_page_fraction
    return HugePages(
        weights=fraction(own.model.decoder.weight_memory),
        kv_cache=fraction(own.model.decoder.kv_memory()["extents"]),
        probe=fraction([ceilings.memory]),
        setting=machine.huge_page_setting(),
    )


def _operations_per_token(model: Model) -> int:
    """A product and a sum per weight of the layers; the head is for the last token only."""
    config = model.config
    tables = {config.embedding, config.head}
    return 2 * sum(
        weight.shape[0] * weight.shape[1] for weight in config.matrices() if weight not in tables
    )

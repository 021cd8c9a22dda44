"""The rows of `python -m benchmarks serving`: what is claimed, what measures it, and the figures to reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.datasets import NONE
from benchmarks.service import answers, durable, erasure, experiments, memory, pairs, peak, replay, retrieval, tested
from benchmarks.service.bench import Bench

__all__ = ["ROWS", "Figure", "Row"]


@dataclass(frozen=True)
class Figure:
    """How a figure of a row is shown, and what it may be.

    Parameters
    ----------
    key : str
        In what the row's function gives.
    text : str
        With a place for the value, such as "p99 {:.1f} ms".
    most, least : float, optional
    """

    key: str
    text: str
    most: float | None = None
    least: float | None = None

    def reached(self, value: float) -> bool:
        """Whether the value is what it may be."""
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)

    def shown(self, figures: Mapping[str, float]) -> str:
        """The figure, with what it was to reach."""
        value = figures[self.key]
        text = self.text.format(value)
        if self.most is None and self.least is None:
            return text
        bound = f"at most {self.most:g}" if self.most is not None else f"at least {self.least:,g}"
        return f"**{text}** ({bound}{'' if self.reached(value) else '; short'})"


@dataclass(frozen=True)
class Row:
    """A claim.

    Parameters
    ----------
    name : str
    claim : str
        How it is measured.
    measure : callable
        `measure(bench) -> figures`, of which `data`, if it is there, says on which data, else `made`.
    figures : tuple of Figure
    made : bool
        Whether the models are of data that is made.
    """

    name: str
    claim: str
    measure: Callable[[Bench], dict[str, Any]]
    figures: tuple[Figure, ...]
    made: bool = True

    def measured(self, bench: Bench) -> tuple[dict[str, Any], dict[str, Any]]:
        """The figures, and the data."""
        found = self.measure(bench)
        return found, found.pop("data", bench.made if self.made else {"name": NONE})


_WRONG = Figure("wrong", "{:,.0f} wrong", most=0)
_SIZES = (("500k", "500,000", 5), ("1m", "1 M", 10))

ROWS = (
    Row("pairs", "a click, and a list once it is acknowledged: 300 such pairs a second over 2 workers, one of which is "
        "killed (-9) every 3 s", pairs.event_then_recommend,
        (Figure("pairs", "{:,.0f} pairs", least=10_000), Figure("kills", "{:.0f} kills", least=20),
         Figure("stale", "{:.0f} stale", most=0), Figure("lost", "{:.0f} lost", most=0),
         Figure("p99_ms", "p99 {:.1f} ms outside the kills", most=10),
         Figure("pairs_outside", "which are {:,.0f} pairs"))),
    Row("open", "lists for live histories at 500 a second, whether or not earlier ones have come; 20,108 items, ALS, "
        "64 factors", answers.open_loop,
        (Figure("requests", "{:,.0f} answers", least=150_000), _WRONG, Figure("p50_ms", "p50 {:.1f} ms"),
         Figure("p99_ms", "p99 {:.1f} ms", most=10), Figure("max_ms", "longest {:.1f} ms"))),
    Row("peak", "the same from one core, 16 connections that are never idle; beside FastAPI and implicit",
        peak.peak,
        (Figure("rate", "{:,.0f} answers/s", least=3000), Figure("cpu_us", "{:.0f} µs of CPU each"), _WRONG,
         Figure("their_rate", "theirs {:,.0f}/s"), Figure("their_cpu_us", "{:.0f} µs"),
         Figure("their_times", "{:.1f} times", least=5), Figure("loop_rate", "theirs without threads {:,.0f}/s"),
         Figure("loop_cpu_us", "{:.0f} µs"), Figure("loop_times", "{:.1f} times", least=5))),
    Row("durable", "events that are durable when they are acknowledged", durable.durable_events,
        (Figure("one_by_one", "{:,.0f}/s one by one on one connection", least=1500),
         Figure("on_eight", "{:,.0f}/s on 8", least=3000),
         Figure("in_batches", "{:,.0f}/s in batches of 100 into a log of 2 M rows", least=20_000),
         Figure("fdatasync_p50_ms", "fdatasync of this disk {:.2f} ms"), Figure("fdatasync_p99_ms", "p99 {:.2f} ms"))),
    Row("last", "a person's last 50 events, log of 1 M rows", durable.last_events,
        (Figure("p50_us", "{:.0f} µs", most=50), Figure("p99_us", "p99 {:.0f} µs"))),
    Row("retrieval", "the exact 10 best of ALS vectors of 64 factors for a live history, one core", retrieval.exact, (
        *(figure for name, items, flat in _SIZES for figure in (
            Figure(f"trained_{name}_ms", f"{items} items {{:.2f}} ms", most=.3),
            Figure(f"flat_{name}_ms", "all of one norm {:.1f} ms", most=flat),
            Figure(f"filter_{name}_ms", "a filter that leaves 1 % {:.2f} ms", most=1),
            Figure(f"k100_{name}_ms", "100 best {:.2f} ms", most=.5),
            Figure(f"scan_{name}_ms", "a plain scan {:.1f} ms"))),
        Figure("worst", "the worst case {:.2f} of a plain scan", most=1),
        Figure("unequal", "{:.0f} lists other than by brute force", most=0))),
    Row("reloads", "50 reloads, one a second, under 200 requests a second, two models in turn", answers.reloads,
        (Figure("requests", "{:,.0f} answers"), Figure("failed", "{:.0f} failed", most=0),
         Figure("refused", "{:.0f} reloads refused", most=0),
         Figure("wrong", "{:,.0f} other than those of the version they name", most=0),
         Figure("p99_ms", "p99 {:.1f} ms"), Figure("p99_ratio", "{:.2f} times that without reloads", most=1.5),
         Figure("gigabytes", "a file of {:.2f} GB:"), Figure("unhashed_ms", "unhashed {:.0f} ms", most=20),
         Figure("hashed_s_per_gb", "hashed {:.2f} s a GB", most=1))),
    Row("memory", "a model of 1 GB in 4 workers that have answered", memory.sharing,
        (Figure("gigabytes", "file {:.2f} GB"), Figure("memory_gb", "proportional memory {:.2f} GB"),
         Figure("over_gb", "{:.2f} GB more than the file", most=.4),
         Figure("ready_s", "ready in {:.1f} s after the first start", most=2),
         Figure("first_answer_s", "a small model: process to first answer {:.2f} s", most=.4))),
    Row("erasure", "people in training, log and shown lists who ask to be forgotten", erasure.forgotten,
        (Figure("found_before", "{:.0f} people in files before"), Figure("files", "{:.0f} files hold them", most=0),
         Figure("differ", "{:.0f} answers other than to somebody never seen", most=0),
         Figure("others_changed", "{:.0f} others' answers changed", most=0), Figure("seconds", "{:.2f} s each"))),
    Row("replay", "sessions of Diginetica, click by click through HTTP; Markov()", replay.diginetica,
        (Figure("predictions", "{:,.0f} predictions"),
         Figure("hit", "hit@20 {:.6f}"), Figure("mrr", "mrr@20 {:.6f}"),
         Figure("differ", "{:.0f} of 2 other than offline `evaluate`", most=0),
         Figure("frozen_hit", "{:.4f} with a history frozen at the first click"),
         Figure("ahead_low", "ahead by {:.4f} at least (95 %)", least=0))),
    Row("experiments", "1,000 A/A experiments at each of three rates, watched after every person; lists that were "
        "never shown", experiments.conclusions,
        (Figure("false_alarms", "{:.1%} false alarms", most=.05),
         Figure("naive", "{:.1%} with intervals for one look"),
         Figure("covered", "off-policy intervals cover the truth in {:.1%}", least=.93),
         Figure("worlds", "of {:.0f} worlds")), made=False),
    Row("openapi", "requests made from the OpenAPI document (schemathesis, 5,000 cases)", tested.described,
        (Figure("passed", "{:.0f} tests passed", least=1), Figure("failed", "{:.0f} failed", most=0)), made=False),
    Row("faults", "full disk, read-only folder, torn log, clock set back, slow client, port in use", tested.faults,
        (Figure("passed", "{:.0f} tests passed", least=1), Figure("failed", "{:.0f} failed", most=0),
         Figure("skipped", "{:.0f} skipped")), made=False),
)

"""Whether reasons are causes: `python -m benchmarks explanation [ROW ...]`.

Each row fits a model, explains the first item of the list of some people, and takes items out of their histories, or
puts them in, in the order of the reasons, at random, and the most popular first (`recsys.explanation.faithfulness`).
Nothing is chosen: parameters are the models' own but where a row says so, and people and the random order are drawn by
seed 0. Another method than the first that can is asked for where a row's name says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import store
from benchmarks.datasets import described, file, real
from benchmarks.provenance import Machines, stamped
from benchmarks.rows import measure_each
from benchmarks.table import DOCS, put

RESULTS = Path(__file__).parent / "explanation.json"
PAIRS = (("deletion", "random"), ("deletion", "popular"), ("insertion", "random"), ("insertion", "popular"))


@dataclass(frozen=True)
class Row:
    """A model on a data set.

    Parameters
    ----------
    data, model : str
    parameters : mapping
    method : str, optional
    people : int
    files : mapping
        What is joined to the set, as its reader names it.
    """

    data: str
    model: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    method: str | None = None
    people: int = 60
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the row."""
        return f"{self.data}/{self.model}" + (f", {self.method}" if self.method else "")


_SMALL, _SOCIAL, _LARGE = "ml-latest-small", "filmtrust", "ml-1m"
_POSTERS = {"posters": "ml-1m-posters/posters_48x32.npz"}
_SEEDED: Mapping[str, Any] = {"seed": 0}
_SHORT: Mapping[str, Any] = {"epochs": 10, "seed": 0}
_LONG: Mapping[str, Any] = {"epochs": 20, "seed": 0}
_FEW = 20
_PLAIN = ("Markov", "ItemKNN", "UserKNN", "VSTAN", "ItemKNNBaseline", "UserKNNBaseline", "EASE", "SparseEASE", "SLIM",
          "RP3beta", "GraphFilter", "SLIST", "ContentProfile")
_DRAWN = ("MatrixFactorization", "ALS", "BPR", "GMF", "LightGCN", "FeatureALS", "LinearAutoencoder", "CDAE", "MultDAE",
          "MultVAE")
_KINDS = {name: parameters for names, parameters in (
    (_PLAIN, {}), (_DRAWN, _SEEDED), (("TextCNN", "Multimodal", "AutoRec", "KernelAutoRec"), _SHORT),
    (("Caser", "CausalCNN", "LRURec", "SequenceRecommender", "GRU4Rec", "SASRec"), _LONG)) for name in names}
_ROWS = (
    *(Row(_SMALL, model, parameters) for model, parameters in _KINDS.items()),
    *(Row(_SMALL, model, _SHORT, people=_FEW) for model in ("MLP", "NeuMF", "ConvNCF")),
    *(Row(_SMALL, model, {}, people=_FEW) for model in ("WeightedHybrid", "SwitchingHybrid", "CascadeHybrid",
                                                        "Reranked")),
    *(Row(_SOCIAL, model, _SEEDED) for model in ("TrustSVD", "SocialMF")),
    *(Row(_SMALL, model, parameters, "leave-one-out", _FEW) for model, parameters in (
        ("EASE", {}), ("ALS", _SEEDED), ("BPR", _SEEDED), ("MultVAE", _SEEDED), ("SASRec", _LONG),
        ("LinearAutoencoder", _SEEDED), ("CDAE", _SEEDED), ("MLP", _SHORT), ("NeuMF", _SHORT))),
    *(Row(_LARGE, model, parameters) for model, parameters in (
        ("ItemKNN", {}), ("EASE", {}), ("RP3beta", {}), ("GraphFilter", {}), ("ALS", _SEEDED), ("BPR", _SEEDED),
        ("MultVAE", _LONG), ("SASRec", _SHORT))),
    *(Row(_LARGE, model, {"epochs": 3, "seed": 0}, files=_POSTERS) for model in ("ImageCNN", "VisualBPR")))
ROWS = {row.name: row for row in _ROWS}


def measure(row: Row) -> dict[str, Any]:
    """Fit, explain, take out and put in, and say what was found."""
    from recsys import models
    from recsys.console import plain
    from recsys.explanation import faithfulness

    began, cpu = time.monotonic(), time.process_time()
    data = real(row.data, **{name: file(path) for name, path in row.files.items()})
    model = models.model_class(row.model)(**row.parameters)
    learned = data if model.can.ratings else data.binarise()
    model.fit(model.with_blanks(learned))
    found = faithfulness(model, learned, users=row.people, method=row.method, seed=0)
    minutes = {"cpu": (time.process_time() - cpu) / 60, "wall": (time.monotonic() - began) / 60}
    about = {"name": row.name, "on": row.data, "label": row.model, "asked": row.method,
             "parameters": dict(row.parameters)}
    return stamped({**about, "found": plain(found.to_dict()), "minutes": minutes},
                   described(row.data, data))


def table(results: Sequence[store.Stored]) -> str:
    """A table a data set: by how much the order of the reasons is better than each control, and what it costs."""
    machines, lines = Machines(results), []
    for data in dict.fromkeys(row.data for row in ROWS.values()):
        held = [each for each in results if each["on"] == data]
        if held:
            lines += ["", f"## {data}", "", *_lines(held, machines)]
    return "\n".join([*lines[1:], "", _summary(results), "", machines.legend()])


def _lines(held: Sequence[store.Stored], machines: Machines) -> Iterator[str]:
    titles = " | ".join(f"{curve}, {control}" for curve, control in PAIRS)
    yield (f"| model | method | people, items each | {titles} | worst gap | seconds, questions | minutes, CPU / wall | "
           f"machine |")
    yield f"|---|---|---:|{'---:|' * len(PAIRS)}---:|---:|---:|---:|"
    for row in held:
        found = row["found"]
        leads = {(each["curve"], each["against"]): each for each in found["leads"]}
        options = ", ".join(f"{key}={value}" for key, value in row["parameters"].items() if key != "seed")
        gap = "-" if found["gap"] is None else f"{100 * found['gap']:.2g} %"
        yield "| " + " | ".join([
            row["label"] + (f" ({options})" if options else ""), found["method"],
            f"{found['people']}, {found['length']:.0f}", *(_lead(leads[pair]) for pair in PAIRS), gap,
            f"{found['seconds']:.2g}, {found['calls']:,.0f}",
            f"{row['minutes']['cpu']:.1f} / {row['minutes']['wall']:.1f}", machines.numbers([row])]) + " |"


def _lead(each: Mapping[str, Any]) -> str:
    text = f"{each['lead']:+.2f} [{each['low']:+.2f}, {each['high']:+.2f}]"
    return f"**{text}**" if each["low"] > 0 else text


def _summary(results: Sequence[store.Stored]) -> str:
    """How many rows are ahead of both controls, in words."""
    def ahead(curve: str) -> int:
        return sum(all(each["low"] > 0 for each in row["found"]["leads"] if each["curve"] == curve) for row in results)

    return (f"Ahead of both controls with the whole interval: {ahead('deletion')} of {len(results)} rows by deletion, "
            f"{ahead('insertion')} by insertion.")


def write(results: Sequence[store.Stored]) -> None:
    """Put the tables into their page."""
    put("explanation", table(results), DOCS / "benchmarks-explanation.md")


def main(arguments: Sequence[str]) -> int:
    """Measure the rows named, or all: 0, 2 for an unknown name, 3 where a set is absent."""
    return measure_each("explanation", __doc__, arguments, ROWS, measure, _told, RESULTS, write)


def _told(found: Mapping[str, Any]) -> str:
    return f"{found['minutes']['wall']:.1f} minutes"

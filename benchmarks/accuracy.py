"""Accuracy under named protocols, beside the figures to reach: `python -m benchmarks accuracy [NAME ...]`."""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.datasets import SHARED
from benchmarks.table import put

RESULTS = Path(__file__).parent / "accuracy.json"


@dataclass(frozen=True)
class Row:
    """A model on a data set under a protocol, and the figures to reach (name of metric -> value).

    With a `grid`, the setting with the best first metric on validation data is taken; with several `seeds`, the
    figures are means over them. `parts` names the parts of a set that comes divided, training first.
    """

    name: str
    data: str
    protocol: str
    model: str
    reach: Mapping[str, float]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    grid: Sequence[Mapping[str, Any]] = ({},)
    options: Mapping[str, Any] = field(default_factory=dict)
    slack: float = 0.0
    seeds: Sequence[int] = (0,)
    parts: tuple[str, ...] = ()


def _each(**values: Sequence[Any]) -> list[dict[str, Any]]:
    """All combinations."""
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


_FOLDS, _RATIO, _LAST = "ratings-5fold", "ratio-811-full", "last-one-full"
_SURPRISE = {"init_std": 0.1}
_SVDPP = {"factors": 20, "lr": 0.007, "implicit_feedback": True}
_SEEDS = (0, 1, 2)
_PARTS, _U1 = "predefined-ratings", ("u1.base", "u1.test")
_PATIENT = {"epochs": 200, "patience": 20}
_REG = _each(reg=[100.0, 200.0, 300.0, 500.0, 800.0, 1200.0])
_ALS = [*_each(reg=[10.0, 20.0, 40.0], alpha=[2.0, 5.0], reg_exponent=[0.0]),
        *_each(reg=[0.2, 0.4], alpha=[2.0, 5.0], reg_exponent=[0.6])]
_KNN = _each(neighbours=[50, 100, 200], shrink=[0.0, 10.0])
_BPR = _each(epochs=[100, 200], reg=[0.005, 0.01, 0.02])
_ML1M = {"min_value": 3}


def _top(recall: float, ndcg: float) -> dict[str, float]:
    return {"ndcg@10": ndcg, "recall@10": recall}


ROWS = [
    Row("svd", "ml-100k", _FOLDS, "MatrixFactorization", {"rmse": 0.934}, _SURPRISE, slack=0.004, seeds=_SEEDS),
    Row("svd-default", "ml-100k", _FOLDS, "MatrixFactorization", {"rmse": 0.934}, seeds=_SEEDS),
    Row("svd++", "ml-100k", _FOLDS, "MatrixFactorization", {"rmse": 0.919}, {**_SVDPP, **_SURPRISE}, slack=0.004,
        seeds=_SEEDS),
    Row("svd++-tuned", "ml-100k", _FOLDS, "MatrixFactorization", {"rmse": 0.915},
        {"factors": 50, "epochs": 40, "implicit_feedback": True}, _each(lr=[0.005, 0.007], reg=[0.05, 0.08, 0.1]),
        seeds=_SEEDS),
    Row("bias", "ml-100k", _FOLDS, "Bias", {"rmse": 0.944}),
    Row("item-knn-baseline", "ml-100k", _FOLDS, "ItemKNNBaseline", {"rmse": 0.918}),
    Row("user-knn-baseline", "ml-100k", _FOLDS, "UserKNNBaseline", {"rmse": 0.931}),
    Row("autorec-5fold", "ml-100k", _FOLDS, "AutoRec", {"rmse": 0.918}),
    Row("kernel-5fold", "ml-100k", _FOLDS, "KernelAutoRec", {"rmse": 0.918}),
    Row("autorec-u1", "ml-100k", _PARTS, "AutoRec", {"rmse": 0.91}, seeds=_SEEDS, parts=_U1),
    Row("kernel-u1", "ml-100k", _PARTS, "KernelAutoRec", {"rmse": 0.91}, seeds=_SEEDS, parts=_U1),
    Row("ease-100k", "ml-100k", _RATIO, "EASE", _top(0.269, 0.322), grid=_REG),
    Row("als-100k", "ml-100k", _RATIO, "ALS", _top(0.281, 0.325), grid=_ALS),
    Row("item-knn-100k", "ml-100k", _RATIO, "ItemKNN", _top(0.242, 0.282), grid=_KNN),
    Row("bpr-100k", "ml-100k", _RATIO, "BPR", _top(0.244, 0.289), grid=_BPR),
    Row("mult-dae-100k", "ml-100k", _RATIO, "MultDAE", _top(0.252, 0.287), _PATIENT, seeds=_SEEDS),
    Row("mult-vae-100k", "ml-100k", _RATIO, "MultVAE", _top(0.255, 0.290), _PATIENT, seeds=_SEEDS),
    Row("gmf-100k", "ml-100k", _RATIO, "GMF", _top(0.244, 0.289)),
    Row("popular-100k", "ml-100k", _RATIO, "Popular", _top(0.116, 0.136)),
    Row("ease-1m", "ml-1m", _RATIO, "EASE", _top(0.213, 0.290), grid=_REG, options=_ML1M),
    Row("als-1m", "ml-1m", _RATIO, "ALS", _top(0.204, 0.256), grid=_ALS, options=_ML1M),
    Row("item-knn-1m", "ml-1m", _RATIO, "ItemKNN", _top(0.171, 0.241), grid=_KNN, options=_ML1M),
    Row("bpr-1m", "ml-1m", _RATIO, "BPR", _top(0.171, 0.236), options=_ML1M),
    Row("popular-1m", "ml-1m", _RATIO, "Popular", _top(0.080, 0.120), options=_ML1M),
    Row("markov-last", "ml-100k", _LAST, "Markov", {"ndcg@10": 0.104, "hit@10": 0.187}),
    Row("gru-last", "ml-100k", _LAST, "SequenceRecommender", {"hit@10": 0.16}, seeds=_SEEDS),
    Row("sasrec-last", "ml-100k", _LAST, "SASRec", {"hit@10": 0.21}, seeds=_SEEDS),
    Row("caser-last", "ml-100k", _LAST, "Caser", {"hit@10": 0.22}, seeds=_SEEDS),
    Row("cnn-last", "ml-100k", _LAST, "CausalCNN", {"hit@10": 0.20}, seeds=_SEEDS),
]


def measure(row: Row) -> dict[str, Any]:
    """Choose on validation data, then fit and evaluate."""
    from recsys import datasets
    from recsys.evaluation import protocols

    loaded = [datasets.load(SHARED / row.data, part=part) for part in row.parts]
    data = tuple(loaded) if loaded else datasets.load(SHARED / row.data)
    chosen = _best(row, data) if len(row.grid) > 1 else dict(row.grid[0])
    found = [protocols.run(_build(row, {**chosen, **seed}), data, row.protocol, metrics=list(row.reach), **row.options)
             for seed in ([{"seed": s} for s in row.seeds] if len(row.seeds) > 1 else [{}])]
    return {"name": row.name, "data": " ".join([row.data, *row.parts]), "protocol": found[0].card["protocol"],
            "model": found[0].model, "metrics": {m: statistics.fmean(f.metrics[m] for f in found) for m in row.reach},
            "errors": {m: max(f.errors[m] for f in found) for m in row.reach}, "reach": dict(row.reach),
            "slack": row.slack, "seeds": len(found), "fit_seconds": found[0].fit_seconds}


def _build(row: Row, parameters: Mapping[str, Any]) -> Any:
    from recsys import models

    return models.model_class(row.model)(**{**row.parameters, **parameters})


def _best(row: Row, data: Any) -> dict[str, Any]:
    """The setting of the grid with the best first metric on validation data, which no test set is part of."""
    from recsys.data import splits
    from recsys.evaluation import protocols

    metric, protocol, options = next(iter(row.reach)), row.protocol, dict(row.options)
    if protocol == _FOLDS:  # has no validation part: a tenth of the first fold's training data is held out
        data, protocol, options = splits.split_kfold(data)[0].train, "ratings-90-10", {"folds": 1}
    values = [protocols.run(_build(row, setting), data, protocol, metrics=[metric], part="valid",
                            **options).metrics[metric] for setting in row.grid]
    return dict(row.grid[values.index((min if metric == "rmse" else max)(values))])


def reached(result: Mapping[str, Any], metric: str) -> bool:
    """At least the figure, within the slack, as it would be printed."""
    value, wanted, slack = round(result["metrics"][metric], 3), result["reach"][metric], result["slack"]
    return value <= wanted + slack if metric == "rmse" else value >= wanted - slack


def table(results: list[dict[str, Any]]) -> str:
    """The README's table."""
    lines = ["| data | protocol | model | metric | ours | to reach | seconds to fit |",
             "|---|---|---|---|---:|---:|---:|"]
    for r in results:
        names = list(r["reach"])
        ours = " / ".join(f"{r['metrics'][m]:.3f}" for m in names)
        wanted = " / ".join(f"{r['reach'][m]:.3f}" for m in names)
        slack = f" ± {r['slack']:g}" if r["slack"] else ""
        marks = "" if all(reached(r, m) for m in names) else " (short)"
        lines.append(f"| {r['data']} | {r['protocol']} | `{r['model']}` | {' / '.join(names)} | **{ours}** "
                     f"± {max(r['errors'][m] for m in names):.3f} | {wanted}{slack}{marks} | {r['fit_seconds']:.1f} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Run the rows named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks accuracy", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - {row.name for row in ROWS}
    if unknown:
        print(f"no row is named {', '.join(sorted(unknown))}; there are {', '.join(r.name for r in ROWS)}",
              file=sys.stderr)
        return 2
    stored = {r["name"]: r for r in json.loads(RESULTS.read_text())} if RESULTS.exists() else {}
    fresh = []
    for row in ROWS:
        if not options.names or row.name in options.names:
            fresh.append(measure(row))
            print(f"{row.name}: {fresh[-1]['metrics']}", file=sys.stderr)
    stored.update({r["name"]: r for r in fresh})
    kept = [stored[row.name] for row in ROWS if row.name in stored]
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    put("accuracy", table(kept))
    print(json.dumps(fresh, indent=1) if options.json else table(fresh))
    return 0


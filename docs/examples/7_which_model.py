"""
Which model, for which data
===========================

Accuracy against the time of one training, for each data set of the benchmark `field`, from its stored rows: what is
quick and nearly as good stands to the upper left. Bars are intervals of 95 % over users. `docs/choosing.md` has the
same in words.
"""

import json
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

here = Path(__file__).resolve() if "__file__" in globals() else Path.cwd() / "x"
results = next(path for folder in here.parents if (path := folder / "benchmarks/field.json").exists())
sections = defaultdict(list)
for row in json.loads(results.read_text())["rows"]:
    sections[row["section"]].append(row)

# %%
figure, axes = plt.subplots(len(sections), 1, figsize=(7, 3.2 * len(sections)), squeeze=False)
for axis, (name, rows) in zip(axes[:, 0], sections.items(), strict=True):
    metric = next(iter(rows[0]["metrics"]))
    for row in rows:
        value, (low, high) = row["metrics"][metric], row["interval"][metric]
        seconds = max(row["fit_seconds"], 1e-3)
        axis.errorbar(seconds, value, yerr=[[value - low], [high - value]], fmt="o", capsize=3)
        axis.annotate(row["name"].partition("/")[2], (seconds, value), xytext=(6, 4), textcoords="offset points")
    axis.set(xscale="log", title=name, xlabel="seconds of one training",
             ylabel=f"{metric}{' (lower is better)' if metric == 'rmse' else ''}")
    axis.margins(x=0.15)
    axis.grid(alpha=0.3)
figure.tight_layout()

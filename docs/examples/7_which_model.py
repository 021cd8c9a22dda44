"""
Which model, for which data
===========================

From the stored rows of the benchmark `field`; `docs/choosing.md` has the same in words.
"""

import json
import math
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

here = Path(__file__).resolve() if "__file__" in globals() else Path.cwd() / "x"
results = next(path for folder in here.parents if (path := folder / "benchmarks/field.json").exists())
sections = defaultdict(dict)
for row in json.loads(results.read_text())["rows"]:
    sections[row["section"]][row["name"].partition("/")[2]] = row
metrics = {name: next(iter(next(iter(rows.values()))["metrics"])) for name, rows in sections.items()}

# %%
# How near each model comes to the best of each data set: 1 is the best. Errors (RMSE) are the best one divided by the
# model's, so they lie closer together.
models = list(dict.fromkeys(model for rows in sections.values() for model in rows))


def share(name: str, model: str) -> float:
    if model not in sections[name]:
        return math.nan
    metric = metrics[name]
    values = [row["metrics"][metric] for row in sections[name].values()]
    own = sections[name][model]["metrics"][metric]
    return min(values) / own if metric == "rmse" else own / max(values)


shares = [[share(name, model) for name in sections] for model in models]
figure, axis = plt.subplots(figsize=(2.5 + 0.62 * len(sections), 1.6 + 0.3 * len(models)))
axis.imshow(shares, cmap="viridis", vmin=0.3, vmax=1, aspect="auto")
for y, line in enumerate(shares):
    for x, value in enumerate(line):
        if not math.isnan(value):
            axis.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=8,
                      color="black" if value > 0.75 else "white")
axis.set_xticks(range(len(sections)), [f"{name}\n{metrics[name]}" for name in sections], rotation=60, ha="right",
                fontsize=8)
axis.set_yticks(range(len(models)), models, fontsize=8)
figure.tight_layout()

# %%
# Accuracy against the time of one training: what is quick and nearly as good stands to the upper left (for an RMSE, to
# the lower left). Bars are intervals of 95 % over users; the best stands first in each legend.
figure, axes = plt.subplots(math.ceil(len(sections) / 2), 2, figsize=(13, 3.4 * math.ceil(len(sections) / 2)),
                            squeeze=False)
for axis in axes.flat[len(sections):]:
    axis.set_visible(False)
for axis, (name, rows) in zip(axes.flat, sections.items(), strict=False):
    metric = metrics[name]
    ranked = sorted(rows, key=lambda model: rows[model]["metrics"][metric], reverse=metric != "rmse")
    for place, model in enumerate(ranked):
        value, (low, high) = rows[model]["metrics"][metric], rows[model]["interval"][metric]
        axis.errorbar(max(rows[model]["fit_seconds"], 1e-3), value, yerr=[[value - low], [high - value]], ms=5,
                      fmt="os^Dv"[place // 10], capsize=2, color=f"C{place % 10}", label=model)
    axis.set(xscale="log", title=name, xlabel="seconds of one training",
             ylabel=f"{metric}{' (lower is better)' if metric == 'rmse' else ''}")
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axis.grid(alpha=0.3)
figure.tight_layout()

"""
Recommend from a file or a frame of your own
============================================

A CSV file of who bought what and when, one of titles, and a list of recommendations. A pandas or polars frame works as
well.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from recsys import Interactions
from recsys.data.side import add_titles
from recsys.models import EASE

# %%
# Two files, as a shop may have them. People who drink tea, people who drink coffee, and what goes with either.
rng = np.random.default_rng(0)
titles = ["green tea", "black tea", "teapot", "strainer", "honey", "espresso", "filter coffee", "grinder",
          "milk frother", "biscuits", "mug", "sugar"]
folder = Path(tempfile.mkdtemp())
lines = ["customer;article;bought"]
for customer in range(200):
    own = np.arange(5) if customer % 2 else np.arange(5, 9)
    basket = [*rng.permutation(own)[:3], *rng.permutation(np.arange(9, 12))[:1]]
    lines += [f"c{customer:03d};{100 + article};2026-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}"
              for article in basket]
(folder / "sales.csv").write_text("\n".join(lines))
(folder / "articles.csv").write_text("\n".join(["article;title", *(f"{100 + i};{t}" for i, t in enumerate(titles))]))

# %%
# Columns are named, or found by name; what was guessed or dropped is in `data.notes`.
data = Interactions.from_csv(folder / "sales.csv", users="customer", items="article", times="bought")
data = add_titles(data, folder / "articles.csv")
print(data, *data.notes, sep="\n")

# %%
# With a frame it is `Interactions.from_dataframe(frame, users="customer", ...)`, or `fit(frame)` at once.
model = EASE(reg=20.0).fit(data)
for rank, (title, score) in enumerate(zip((recs := model.recommend("c001", k=5)).titles, recs.scores, strict=True), 1):
    print(f"{rank}. {title} ({score:.2f})")

# %%
# Somebody new, who has bought a grinder: no second training is needed.
recs = model.recommend(history=[107], k=8)
figure, axes = plt.subplots(figsize=(6, 3.2))
axes.barh(recs.titles[::-1], recs.scores[::-1])
axes.set(title="after a grinder", xlabel="score")
figure.tight_layout()

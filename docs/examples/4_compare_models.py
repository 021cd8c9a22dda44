"""
Compare models, with intervals
==============================

Which model is better, and is it more than luck? Models are measured under one named protocol, user by user, so that
differences have intervals and a test.
"""

import matplotlib.pyplot as plt

from recsys import datasets, evaluation
from recsys.models import ALS, EASE, ItemKNN, Popular

data, truth = datasets.simulate(n_users=500, n_items=200, n_events=20_000, seed=0)

# %%
# `last-one-full`: each user's last event is the test, and all items are ranked.
runs = evaluation.run_all({"Popular": Popular(), "ItemKNN": ItemKNN(), "EASE": EASE(), "ALS": ALS(factors=16)}, data,
                          protocol="last-one-full", metrics=["ndcg@10"])
table = evaluation.compare(runs.results)
print(table)

# %%
# The intervals are of 95 %. p is that of the difference to the best, with Holm's correction for so many comparisons.
entries = table.entries[::-1]
figure, axes = plt.subplots(figsize=(6, 2.8))
axes.errorbar([entry.value for entry in entries], range(len(entries)), fmt="o", capsize=4,
              xerr=[[entry.value - entry.low for entry in entries], [entry.high - entry.value for entry in entries]])
axes.set(yticks=range(len(entries)), yticklabels=[entry.model for entry in entries], xlabel="NDCG@10")
axes.grid(axis="x", alpha=0.3)
figure.tight_layout()

# %%
# A number means something only beside its protocol: the card says what was done.
for name, value in runs.results["EASE"].card.items():
    print(f"{name}: {value}")

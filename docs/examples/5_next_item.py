"""
What comes next
===============

Networks of sequences read the last items in their order. Here people walk around a ring of twenty items, one step
after the other, and a network learns to walk; a model that does not see the order cannot know which way.
"""

import matplotlib.pyplot as plt
import numpy as np

from recsys import Interactions, evaluate, split_last
from recsys.models import EASE, Markov, SASRec

rng = np.random.default_rng(0)
n_users, n_items, length = 200, 20, 12
start = rng.integers(0, n_items, n_users)
walks = (start[:, None] + np.arange(length)) % n_items  # one step after the other
data = Interactions.from_arrays(np.repeat(np.arange(n_users), length), walks.ravel(),
                                times=np.tile(np.arange(length), n_users))
split = split_last(data)

# %%
# The last item of each walk is the test.
models = {"EASE": EASE(reg=10.0), "Markov": Markov(), "SASRec": SASRec(factors=16, epochs=15, lr=0.01)}
found = {}
for name, model in models.items():
    model.fit(split.train)
    found[name] = evaluate(model, split, metrics=["hit@1"]).metrics["hit@1"]
    print(f"{name}: {found[name]:.2f} of the next items are the first recommendation")

# %%
# What the network says after 7, 8, 9: the scores of all items.
recs = models["SASRec"].recommend(history=[7, 8, 9], k=n_items, filter_seen=False)
order = np.argsort(recs.items)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
left.bar(list(found), found.values())
left.set(title="right at once", ylim=(0, 1))
right.bar(recs.items[order], recs.scores[order])
right.set(title="SASRec after 7, 8, 9", xlabel="item")
figure.tight_layout()

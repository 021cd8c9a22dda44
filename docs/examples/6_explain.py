"""
Why this one?
=============

`explain` says what each item of a history adds to a score. For linear models the parts sum to the score; for networks a
part is what the score loses without the item.
"""

import matplotlib.pyplot as plt

from recsys import datasets
from recsys.models import EASE

data, truth = datasets.simulate(n_users=400, n_items=120, n_events=12_000, seed=1)
model = EASE(reg=100.0).fit(data.clean(duplicates="first").binarise())

# %%
# The best item for somebody, and the reasons, the largest first.
user = data.users.ids[3]
recs = model.recommend(user, k=1)
reasons = model.explain(user, recs.items[0], k=100)
print(f"{recs.titles[0]}: {recs.scores[0]:.3f}")
for reason in reasons[:5]:
    print(f"{reason.contribution:+.3f} because of {reason.title}")

# %%
# They sum to the score.
assert abs(sum(reason.contribution for reason in reasons) - recs.scores[0]) < 1e-4

# %%
# What speaks for it, and what against.
shown = [*reasons[:6], *reasons[-3:]][::-1]
figure, axes = plt.subplots(figsize=(6.5, 3.4))
axes.barh([str(reason.title) for reason in shown], [reason.contribution for reason in shown],
          color=["tab:blue" if reason.contribution > 0 else "tab:red" for reason in shown])
axes.axvline(0, color="black", linewidth=0.6)
axes.set(title=f"why {recs.titles[0]}", xlabel="part of the score")
figure.tight_layout()

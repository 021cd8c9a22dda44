"""Full-ranking evaluation of every user against a matrix product and top-k in PyTorch, ML-1M."""

from __future__ import annotations

import numpy as np

from benchmarks.datasets import SEED, distinct, ratings
from benchmarks.harness import Arrays, Claim, Session, close

FACTORS, K = 64, 10


def data() -> Arrays:
    arrays = distinct(ratings("ml-1m"))
    rng = np.random.default_rng(SEED)
    users, items = arrays["shape"]
    arrays["held"] = rng.random(len(arrays["user"])) < 0.1
    arrays["p"] = rng.standard_normal((users, FACTORS), np.float32)
    arrays["q"] = rng.standard_normal((items, FACTORS), np.float32)
    return arrays


def ours(arrays: Arrays) -> Session:
    from recsys import Interactions
    from recsys.data.splits import split_predefined
    from recsys.estimator import Can, Facts, Fitted, Learned
    from recsys.estimator.scorers.factors import Factors
    from recsys.evaluation import evaluate

    whole = Interactions.from_arrays(arrays["user"], arrays["item"])
    split = split_predefined(whole.take(~arrays["held"]), whole.take(arrays["held"]))
    p, q = arrays["p"][whole.users.ids], arrays["q"][whole.items.ids]
    scorer = Factors(Can(), p, q, np.zeros(len(q), np.float32))
    model = Fitted("Factors", {}, Facts.of(split.train, keep_events=False), Learned(scorer))
    found: dict[str, np.ndarray] = {}

    def run() -> None:
        found.update(evaluate(model, split, metrics=[f"recall@{K}", f"ndcg@{K}"], candidates="all").metrics)

    return Session(run, lambda: {k: np.asarray(v) for k, v in found.items()})


def theirs(arrays: Arrays) -> Session:
    import torch

    torch.set_num_threads(2)
    users, items = (int(n) for n in arrays["shape"])
    p, q = torch.from_numpy(arrays["p"]), torch.from_numpy(arrays["q"])
    held = arrays["held"]
    seen = [torch.from_numpy(arrays[k][~held].astype(np.int64)) for k in ("user", "item")]
    order = torch.argsort(seen[0], stable=True)
    seen = [s[order] for s in seen]
    bounds = torch.searchsorted(seen[0], torch.arange(users + 1))
    target = torch.zeros((users, items), dtype=torch.bool)
    target[torch.from_numpy(arrays["user"][held].astype(np.int64)),
           torch.from_numpy(arrays["item"][held].astype(np.int64))] = True
    counts = target.sum(1)
    discount = 1 / torch.log2(torch.arange(2, K + 2, dtype=torch.float32))
    found: dict[str, np.ndarray] = {}

    def run(block: int = 1024) -> None:
        recall, ndcg = [], []
        for a in range(0, users, block):
            b = min(a + block, users)
            scores = p[a:b] @ q.T
            rows = slice(int(bounds[a]), int(bounds[b]))
            scores[seen[0][rows] - a, seen[1][rows]] = -torch.inf
            hits = torch.gather(target[a:b], 1, torch.topk(scores, K).indices).float()
            n = counts[a:b]
            recall.append(hits.sum(1) / n)
            ideal = torch.cumsum(discount, 0)[torch.clamp(n, 1, K) - 1]
            ndcg.append((hits * discount).sum(1) / ideal)
        some = counts > 0
        found[f"recall@{K}"] = torch.cat(recall)[some].mean().numpy()
        found[f"ndcg@{K}"] = torch.cat(ndcg)[some].mean().numpy()

    return Session(run, lambda: found)


def agree(ours: Arrays, theirs: Arrays) -> str:
    return ", ".join(close(ours[k], theirs[k], k, rtol=1e-4) for k in theirs)


CLAIMS = [Claim("ranking", "full-ranking evaluation of all users, recall and NDCG at 10",
                "PyTorch matmul + topk", 1.3, data, ours, theirs, agree, on="ml-1m")]

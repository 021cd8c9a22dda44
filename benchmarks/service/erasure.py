"""Whether a person who asked to be forgotten is nowhere any more, and what that takes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.datasets import MADE, SEED
from benchmarks.service.bench import Bench
from benchmarks.service.place import Service

__all__ = ["forgotten"]

PEOPLE = 5
SIZES = {"n_users": 2000, "n_items": 1000, "n_events": 60_000}


def forgotten(bench: Bench) -> dict[str, Any]:
    """People with long ids, in training, log and shown lists, are erased; then every file is searched for their ids."""
    folder = bench.place("erasure")
    path, names, items = _model(folder / "model.recsys")
    config = folder / "service.toml"
    config.write_text("[service]\nlog_shown = true\n")
    gone, stays = names[:PEOPLE], names[PEOPLE]
    options, taken = (path, "--config", config), []
    with Service(folder, *options, workers=2, pinned=False) as service:
        for name in (*gone, stays):
            _post(service, "/v1/events", {"events": [{"user": name, "item": item, "type": "click"}
                                                     for item in items[:5]]})
            _post(service, "/v1/recommend", {"user": name})
        kept, found_before = _answer(service, stays), sum(_holders(folder, name) > 0 for name in gone)
        for name in gone:
            begin = time.perf_counter()
            _done(service.ask("DELETE", f"/v1/users/{name}"))
            taken.append(time.perf_counter() - begin)
        time.sleep(1.5)  # the other worker follows within a second
        files, others = sum(_holders(folder, name) for name in gone), _answer(service, stays) != kept
        differ = sum(_answer(service, name) != _answer(service, f"nobody-was-ever-called-{number}")
                     for number, name in enumerate(gone) for _ in range(4))
    return {"data": {"name": MADE, "seed": SEED, "sizes": SIZES}, "people": PEOPLE, "found_before": found_before,
            "files": files, "differ": differ, "others_changed": float(others), "seconds": max(taken)}


def _model(path: Path) -> tuple[Path, list[str], list[str]]:
    """A model whose users have long names; the file, users and items."""
    from recsys import Interactions, datasets
    from recsys.models import ALS

    made = datasets.simulate(**SIZES, seed=SEED)[0]
    users = [f"somebody-with-a-long-name-{number:06d}@example.org" for number in range(made.n_users)]
    items = [f"item-{number}" for number in range(made.n_items)]
    data = Interactions.from_arrays([users[u] for u in made.user], [items[i] for i in made.item], times=made.time)
    ALS(factors=32, epochs=5).fit(data).save(path)
    return path, data.users.ids.tolist(), data.items.ids.tolist()


def _post(service: Service, path: str, body: Any) -> Any:
    return _done(service.ask("POST", path, body))


def _done(answer: tuple[int, Any]) -> Any:
    if answer[0] != 200:
        raise RuntimeError(f"a request was answered with {answer[0]}: {answer[1]}")
    return answer[1]


def _answer(service: Service, user: str) -> Any:
    return _post(service, "/v1/recommend", {"user": user})["items"]


def _holders(folder: Path, name: str) -> int:
    """How many files hold a name, as UTF-8 or as a NumPy array of text has it."""
    forms = name.encode(), name.encode("utf-32-le")
    count = 0
    for path in folder.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            count += any(form in raw for form in forms)
    return count

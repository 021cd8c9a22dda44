"""`recsys demo`: from raw ratings to recommendations and a page that compares the models."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import runtime
from recsys import datasets, models, pace, warmup
from recsys.console import Console, measured
from recsys.data import Interactions
from recsys.data.parts import Split
from recsys.data.splits import split_last
from recsys.errors import DataError
from recsys.evaluation import evaluate
from recsys.files import check_target, replacing
from recsys.progress import Progress, task
from recsys.report import Line, Report, Row, Showcase, figures

if TYPE_CHECKING:
    from recsys.serving.settings import Settings

__all__ = ["run", "served"]

HELD_OUT = 5  # events of each user, the last in time
METRICS = ("recall@10", "ndcg@10", "coverage@10", "popularity@10")
FLOOR = "Popular"
# What the demo takes on RATINGS ratings, in `pace.unit()`, whatever the machine: all that the models take together, by
# shares that add up to 1, and the compiling of all kernels, half of which a second process does.
RATINGS, UNITS, COMPILING = 90_000, 7_300, 1_700
SHOWN = ("EASE", "ALS", "Markov")  # three ways to say why
LEGEND = (f"{FLOOR} is the floor that every model has to beat. recall: share of a user's {HELD_OUT} held-out items "
          "among the 10 recommended; ndcg counts the places too (± standard error over users). coverage: share of the "
          "catalogue that is recommended to anybody; popularity: mean number of ratings of what is recommended; rmse: "
          "of models that predict ratings, in their unit; seconds: of training, without compiling.")


@dataclass(frozen=True)
class Entry:
    """A model of the demo: what it is called, how to make it, its share of the time of all (with all epochs), and
    whether it learns from the ratings' values.
    """

    label: str
    build: Callable[..., Any]
    share: float
    ratings: bool = False


def _entries(quick: bool, seed: int) -> list[Entry]:
    def epochs(n: int) -> int:
        return 2 if quick else n

    return [
        Entry(FLOOR, models.Popular, share=0.001),
        Entry("Markov", models.Markov, share=0.001),
        Entry("Bias", models.Bias, share=0.002, ratings=True),
        Entry("ItemKNN", models.ItemKNN, share=0.009),
        Entry("UserKNN", models.UserKNN, share=0.001),
        Entry("ItemKNN, ratings", models.ItemKNNBaseline, share=0.09, ratings=True),
        Entry("EASE", models.EASE, share=0.047),
        Entry("MF (SVD)", lambda: models.MatrixFactorization(epochs=epochs(50), seed=seed), share=0.006, ratings=True),
        Entry("MF (SVD++)", lambda: models.MatrixFactorization(factors=20, epochs=epochs(20), lr=0.007, reg=0.02,
                                                              reg_bias=0.02, seed=seed, implicit_feedback=True),
              share=0.002, ratings=True),
        Entry("ALS", lambda: models.ALS(epochs=epochs(15), seed=seed), share=0.004),
        Entry("BPR", lambda: models.BPR(epochs=epochs(60), seed=seed), share=0.008),
        Entry("GMF", lambda: models.GMF(factors=16, epochs=epochs(8), lr=0.02, reg=0.01, batch_size=2048, loss="bce",
                                        seed=seed), share=0.025),
        Entry("NeuMF (MLP)", lambda: models.NeuMF(factors=16, epochs=epochs(6), lr=0.01, reg=0.02, batch_size=2048,
                                                  loss="bce", dropout=0.0, hidden=(64, 32, 16), init_std=0.1,
                                                  seed=seed), share=0.06),
        Entry("FM, ratings", lambda: models.FactorizationMachine(loss="mse", epochs=epochs(7), seed=seed),
              share=0.015, ratings=True),
        Entry("AutoRec, ratings", lambda: models.AutoRec(epochs=epochs(30), seed=seed), share=0.022, ratings=True),
        Entry("Mult-DAE", lambda: models.MultDAE(epochs=epochs(40), batch_size=50, seed=seed), share=0.11),
        Entry("GRU (RNN)", lambda: models.SequenceRecommender(epochs=epochs(5), lr=6e-3, seed=seed), share=0.27),
        Entry("Causal CNN", lambda: models.CausalCNN(epochs=epochs(5), lr=4e-3, seed=seed), share=0.33),
    ]


def run(source: str, *, out: Path | None, user: str | None, quick: bool, seed: int, console: Console,
        progress: Progress) -> Interactions:
    """Load, clean, split, train, compare, recommend, and write the page; the data that was learned from.

    Parameters
    ----------
    source : str
        Name or path of a data set with ratings and times.
    out : Path or None
        The page.
    user : str, optional
        Whom to recommend to, by external id.
    quick : bool
        Two epochs for everything that has epochs.
    seed : int
    console : Console
    progress : progress object
    """
    watch = runtime.Stopwatch()
    if out is not None:
        figures.require()
        check_target(out)
    entries = _entries(quick, seed)
    built = [entry.build() for entry in entries]
    with warmup.beside(built):
        raw, data = _load(source)
        for note in raw.notes:
            console.warn(note)
        chosen = _choose_user(data, user)
        console.note(f"{raw.name or source}: {len(raw):,} ratings; one of each pair, users with {2 * HELD_OUT} or more "
                     f"and items with 5 or more:\n{len(data):,} ratings of {data.n_items:,} items by {data.n_users:,} "
                     f"users.\n")
        split = split_last(data, n=HELD_OUT, valid=False, min_events=2 * HELD_OUT)
        plan = _plan(built, len(data), console)
        fitted, rows, card = _compare(entries, built, split, progress, plan)
    warmup.remember(built)
    _show_table(rows, card, console)
    history, showcases = _showcase(fitted, split, chosen, console)
    terms = datasets.terms(source) if source in datasets.available() else ""
    if out is not None:
        Report(f"Recommenders on {raw.name or source}", card, rows, "ndcg@10", FLOOR, LEGEND, f"user {chosen}",
               history, showcases, [terms] if terms else []).write(out)
    compiling = watch.compiling
    seconds = watch.seconds + compiling
    if out is not None:
        console.note(f"Wrote {out}: metric bars, popularity against accuracy, learning curves, these lists.")
    apart = f", of which {compiling:.1f} s compiling" if compiling else ""
    console.note(f"{seconds:.1f} s in all{apart}. {terms}".rstrip())
    console.result({"data": data.describe(), "ratings_before_cleaning": len(raw), "card": card, "floor": FLOOR,
                    "rows": [asdict(row) for row in rows], "user": chosen, "history": [asdict(h) for h in history],
                    "recommendations": [asdict(show) for show in showcases], "terms": terms,
                    "report": None if out is None else str(out), "seconds": seconds, "compile_seconds": compiling})
    return data


def served(data: Interactions, folder: Path) -> Settings:
    """What a service of all the data needs, in a folder: a model, and the items with their titles and genres.

    Parameters
    ----------
    data : Interactions
    folder : path
        Made if it is not there; events of a service before are kept.
    """
    from recsys.serving.settings import Settings, Variant

    folder.mkdir(parents=True, exist_ok=True)
    models.EASE().fit(data.binarise()).save(folder / "model.recsys")
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("item", "title", "genre"), *_described(data)])
    with replacing(folder / "items.csv") as file:
        file.write(text.getvalue().encode())
    return Settings((Variant("default", str(folder / "model.recsys")),), events=str(folder / "events.db"),
                    items=str(folder / "items.csv"))


def _described(data: Interactions) -> Iterator[tuple[Any, str, str]]:
    """Every item's id, title and genres."""
    features = data.item_features
    for number, item in enumerate(data.items.ids.tolist()):
        title = "" if features is None or features.titles is None else str(features.titles[number])
        genres: list[str] = []
        if features is not None and features.genres is not None and features.genre_names is not None:
            genres = features.genre_names[features.genres.row(number)[0]].tolist()
        yield item, title, "|".join(genres)


def _load(source: str) -> tuple[Interactions, Interactions]:
    """The ratings as they come, and cleaned."""
    raw = datasets.load(source)
    if raw.value is None or raw.time is None:
        raise DataError(f"{source}: the demo needs ratings with times; `recsys compare` takes any data.")
    return raw, raw.clean(duplicates="last").k_core(users=2 * HELD_OUT, items=5)


def _plan(built: Sequence[Any], ratings: int, console: Console) -> pace.Pace:
    """Says how long it will take."""
    whole = _entries(False, 0)
    shares = [entry.share * _epochs(model) / _epochs(entry.build()) for entry, model in zip(whole, built, strict=True)]
    unit, first = pace.unit(), len(warmup.missing(built))
    learning = unit * UNITS * sum(shares) * ratings / RATINGS
    compiling = unit * COMPILING * first / len(built)
    text = f"About {pace.about(learning)} to learn and measure"
    if first:
        text += (f", and about {pace.about(compiling)} more to compile kernels: this is the first run here for {first} "
                 f"of {len(built)} models")
    console.note(f"{text}.\n")
    return pace.Pace(shares, learning + compiling)


def _epochs(model: Any) -> int:
    return int(model.get_params().get("epochs", 1))


def _compare(entries: Sequence[Entry], built: Sequence[Any], split: Split, progress: Progress, plan: pace.Pace
             ) -> tuple[dict[str, Any], list[Row], Mapping[str, Any]]:
    """Train and measure every model: the models, a row each, and the protocol's card."""
    implicit = Split(split.train.binarise(), None, split.test.binarise(), split.card)
    fitted: dict[str, Any] = {}
    rows: list[Row] = []
    card: Mapping[str, Any] = {}
    with task(progress, len(entries), "models") as bar:
        for entry, model in zip(entries, built, strict=True):
            parts = split if entry.ratings else implicit
            watch = runtime.Stopwatch()
            model.fit(parts.train, progress=progress)
            seconds = watch.seconds
            found = evaluate(model, parts, metrics=METRICS)
            metrics = dict(found.metrics)
            if entry.ratings:
                metrics |= evaluate(model, parts, task="ratings", metrics=["rmse"]).metrics
            quantity, curve = next(iter(getattr(model, "curves_", {}).items()), ("", []))
            fitted[entry.label], card = model, card or found.card
            rows.append(Row(entry.label, metrics, dict(found.errors), seconds, quantity, tuple(curve)))
            plan.add(watch.seconds + watch.compiling)
            bar.advance(1, last=entry.label, left=pace.about(plan.left()))
    return fitted, rows, card


def _show_table(rows: Sequence[Row], card: Mapping[str, Any], console: Console) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    shown = ("recall@10", "ndcg@10")  # with their standard errors
    lines = [[row.name, *(measured(name, row.metrics.get(name), row.errors.get(name) if name in shown else None)
                          for name in names), f"{row.seconds:.2f}"] for row in rows]
    console.table("Results", ["model", *names, "seconds"], lines, caption=LEGEND)
    console.note("\nProtocol: " + "; ".join(f"{name} {value}" for name, value in card.items()) + ".\n")


def _choose_user(data: Interactions, wanted: str | None) -> Any:
    """The user asked for, or one with a history of typical length."""
    if wanted is not None:
        index = data.users.encode(data.users.parse([wanted]))[0]
    else:
        counts = np.bincount(data.user, minlength=data.n_users)
        index = np.argsort(counts, kind="stable")[len(counts) // 2]
    return data.users.ids[index].item()


def _showcase(fitted: Mapping[str, Any], split: Split, user: Any,
              console: Console) -> tuple[list[Line], list[Showcase]]:
    """The user's best-rated items, and the top 10 of three models with the reasons they can give."""
    train, index = split.train, int(split.train.users.encode([user])[0])
    items, ratings = train.csr.row(index)
    values = np.ones(len(items)) if ratings is None else ratings
    best = np.argsort(-values, kind="stable")[:10]
    named = fitted[SHOWN[0]]
    history = [Line(item, named.title(item) or str(item), f"rated {value:g}")
               for item, value in zip(train.items.decode(items[best]).tolist(), values[best].tolist(), strict=True)]
    console.ranking(f"User {user}: {len(items)} ratings to learn from; the best of them", ["", ""],
                    [[line.title, line.note] for line in history], text=2)
    later = set(train.items.decode(split.test.csr.row(index)[0]).tolist())
    shown = []
    for name in SHOWN:
        model = fitted[name]
        lines = [Line(item, model.title(item) or str(item), _reason(model, user, item), item in later)
                 for item in model.recommend(user, k=10).items.tolist()]
        console.ranking(f"{name} recommends (*: held out, and rated by the user afterwards)",
                        ["", "title", "because of"], [["*" * line.hit, line.title, line.note] for line in lines],
                        text=3)
        shown.append(Showcase(name, lines))
    return history, shown


def _reason(model: Any, user: Any, item: Any) -> str:
    """The two items of the history that speak most for an item."""
    reasons = [r for r in model.explain(user, item, k=3) if r.item is not None and r.contribution > 0]
    return "; ".join(str(r.title or r.item) for r in reasons[:2])

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
from recsys.errors import DataError, RecsysError
from recsys.evaluation import evaluate, run_all
from recsys.files import check_target, replacing
from recsys.progress import Progress, task
from recsys.report import Aside, Line, Report, Row, Showcase, figures

if TYPE_CHECKING:
    from recsys.serving.settings import Settings

__all__ = ["run", "served"]

Done = Callable[[str, float], None]  # told of what is done, with the seconds that it took
HELD_OUT = 5  # events of each user, the last in time
METRICS = ("recall@10", "ndcg@10", "coverage@10", "popularity@10")
FLOOR = "Popular"
# What the demo takes on RATINGS ratings, in `pace.unit()`, whatever the machine: all that the models take together, by
# shares that add up to 1, and the compiling of all kernels, half of which a second process does.
RATINGS, UNITS, COMPILING = 90_000, 8_600, 1_700
SHOWN = ("EASE", "ALS", "Markov")  # three ways to say why
LEGEND = (f"{FLOOR} is the floor that every model has to beat, but for those that predict ratings. recall: share of a "
          f"user's {HELD_OUT} held-out items among the 10 recommended; ndcg counts the places too (± standard error "
          "over users). coverage: share of the catalogue that is recommended to anybody; popularity: mean number of "
          "ratings of what is recommended; rmse: of models that predict ratings, in their unit; seconds: of training, "
          "without compiling.")
NEW = ("A tenth of the items is kept from the training, and these are ranked among themselves by titles, genres and "
       f"years alone; {FLOOR} knows nothing of them. auc: how often an item that a user had comes before one that they "
       "had not.")
FRIENDS = ("permuted: as many friends for everybody, but others, drawn at random; constant: one and the same. Only "
           "what falls with them came from friends.")


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
        Entry("Bias", models.Bias, share=0.001, ratings=True),
        Entry("ItemKNN", models.ItemKNN, share=0.006),
        Entry("UserKNN", models.UserKNN, share=0.001),
        Entry("ItemKNN, ratings", models.ItemKNNBaseline, share=0.071, ratings=True),
        Entry("EASE", models.EASE, share=0.044),
        Entry("MF (SVD)", lambda: models.MatrixFactorization(epochs=epochs(50), seed=seed), share=0.005, ratings=True),
        Entry("MF (SVD++)", lambda: models.MatrixFactorization(factors=20, epochs=epochs(20), lr=0.007, reg=0.02,
                                                              reg_bias=0.02, seed=seed, implicit_feedback=True),
              share=0.002, ratings=True),
        Entry("RP3beta (walk)", models.RP3beta, share=0.006),
        Entry("Graph filter", lambda: models.GraphFilter(seed=seed), share=0.007),
        Entry("ALS", lambda: models.ALS(epochs=epochs(15), seed=seed), share=0.006),
        Entry("ALS, features", lambda: models.FeatureALS(epochs=epochs(15), seed=seed), share=0.022),
        Entry("ALS + Markov", lambda: models.WeightedHybrid(models=("ALS", "Markov"), seed=seed), share=0.018),
        Entry("ALS, re-ranked", lambda: models.Reranked(model=("ALS", {"epochs": epochs(15), "seed": seed})),
              share=0.005),
        Entry("BPR", lambda: models.BPR(epochs=epochs(60), seed=seed), share=0.008),
        Entry("LightGCN", lambda: models.LightGCN(epochs=epochs(15), lr=0.1, reg=0.01, seed=seed), share=0.039),
        Entry("GMF", lambda: models.GMF(factors=16, epochs=epochs(8), lr=0.02, reg=0.01, batch_size=2048, loss="bce",
                                        seed=seed), share=0.026),
        Entry("NeuMF (MLP)", lambda: models.NeuMF(factors=16, epochs=epochs(6), lr=0.01, reg=0.02, batch_size=2048,
                                                  loss="bce", dropout=0.0, hidden=(64, 32, 16), init_std=0.1,
                                                  seed=seed), share=0.057),
        Entry("FM, ratings", lambda: models.FactorizationMachine(loss="mse", epochs=epochs(7), seed=seed),
              share=0.014, ratings=True),
        Entry("AutoRec, ratings", lambda: models.AutoRec(epochs=epochs(30), seed=seed), share=0.019, ratings=True),
        Entry("Mult-DAE", lambda: models.MultDAE(epochs=epochs(40), batch_size=50, seed=seed), share=0.068),
        Entry("VSTAN", models.VSTAN, share=0.008),
        Entry("GRU (RNN)", lambda: models.SequenceRecommender(epochs=epochs(5), lr=6e-3, seed=seed), share=0.23),
        Entry("Causal CNN", lambda: models.CausalCNN(epochs=epochs(5), lr=4e-3, seed=seed), share=0.29),
    ]


@dataclass(frozen=True)
class Other:
    """Models under another protocol, for what the table of all models cannot show."""

    title: str
    models: Mapping[str, Any]
    protocol: str
    note: str
    share: float
    metrics: tuple[str, ...] = ("recall@10", "ndcg@10")
    controls: str | None = None


def _others(quick: bool, seed: int) -> list[Other]:
    """Of content, where items are new; of friends, where there are some."""
    epochs = 2 if quick else 10
    return [
        Other("Items that nobody has had yet", {
            FLOOR: models.Popular(), "ContentProfile": models.ContentProfile(),
            "ALS, features": models.FeatureALS(seed=seed), "Multimodal": models.Multimodal(epochs=epochs, seed=seed)},
            "new-items", NEW, 0.046, ("auc", "recall@10", "ndcg@10")),
        Other("Friends", {
            FLOOR: models.Popular(), "ItemKNN": models.ItemKNN(), "TrustKNN": models.TrustKNN()},
            "ratio-811-full", FRIENDS, 0.001, controls="friends"),
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
    entries, others = _entries(quick, seed), _others(quick, seed)
    built = [entry.build() for entry in entries]
    kinds = set(map(type, built))
    needed = [*built, *(model for other in others for model in other.models.values() if type(model) not in kinds)]
    with warmup.beside(needed):
        raw, data = _load(source)
        for note in raw.notes:
            console.warn(note)
        chosen = _choose_user(data, user)
        console.note(f"{raw.name or source}: {len(raw):,} ratings; one of each pair, users with {2 * HELD_OUT} or more "
                     f"and items with 5 or more:\n{len(data):,} ratings of {data.n_items:,} items by {data.n_users:,} "
                     f"users.\n")
        split = split_last(data, n=HELD_OUT, valid=False, min_events=2 * HELD_OUT)
        plan = _plan(built, others, needed, len(data), console)
        with task(progress, len(entries) + len(others), "models") as bar:
            def done(name: str, seconds: float) -> None:
                plan.add(seconds)
                bar.advance(1, last=name, left=pace.about(plan.left()))

            fitted, rows, card = _compare(entries, built, split, progress, done)
            found = [_aside(other, data, seed, progress, done) for other in others]
    warmup.remember(needed)
    _show_table(rows, card, console)
    for each in found:
        _show_aside(each, console)
    asides = [each for each in found if isinstance(each, Aside)]
    history, showcases = _showcase(fitted, split, chosen, console)
    terms = datasets.terms(source) if source in datasets.available() else ""
    if out is not None:
        Report(f"Recommenders on {raw.name or source}", card, rows, "ndcg@10", FLOOR, LEGEND, f"user {chosen}",
               history, showcases, [terms] if terms else [], asides).write(out)
    compiling = watch.compiling
    seconds = watch.seconds + compiling
    if out is not None:
        console.note(f"Wrote {out}: metric bars, popularity against accuracy, learning curves, these lists.")
    apart = f", of which {compiling:.1f} s compiling" if compiling else ""
    console.note(f"{seconds:.1f} s in all{apart}. {terms}".rstrip())
    console.result({"data": data.describe(), "ratings_before_cleaning": len(raw), "card": card, "floor": FLOOR,
                    "rows": [asdict(row) for row in rows], "asides": [asdict(aside) for aside in asides],
                    "user": chosen, "history": [asdict(h) for h in history],
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


def _plan(built: Sequence[Any], others: Sequence[Other], needed: Sequence[Any], ratings: int, console: Console
          ) -> pace.Pace:
    """Says how long it will take."""
    whole = _entries(False, 0)
    shares = [entry.share * _epochs(model) / _epochs(entry.build()) for entry, model in zip(whole, built, strict=True)]
    shares += [other.share for other in others]
    unit, first = pace.unit(), len(warmup.missing(needed))
    learning = unit * UNITS * sum(shares) * ratings / RATINGS
    compiling = unit * COMPILING * first / len(needed)
    text = f"About {pace.about(learning)} to learn and measure"
    if first:
        text += (f", and about {pace.about(compiling)} more to compile kernels: this is the first run here for {first} "
                 f"of {len(needed)} models")
    console.note(f"{text}.\n")
    return pace.Pace(shares, learning + compiling)


def _epochs(model: Any) -> int:
    return int(model.get_params().get("epochs", 1))


def _compare(entries: Sequence[Entry], built: Sequence[Any], split: Split, progress: Progress, done: Done
             ) -> tuple[dict[str, Any], list[Row], Mapping[str, Any]]:
    """Train and measure every model: the models, a row each, and the protocol's card."""
    implicit = Split(split.train.binarise(), None, split.test.binarise(), split.card)
    fitted: dict[str, Any] = {}
    rows: list[Row] = []
    card: Mapping[str, Any] = {}
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
        done(entry.label, watch.seconds + watch.compiling)
    return fitted, rows, card


def _aside(other: Other, data: Interactions, seed: int, progress: Progress, done: Done) -> Aside | str:
    """A table of models that need what the data may lack, or why there is none; friends are made where it has none."""
    title, watch = other.title, runtime.Stopwatch()
    if other.controls == "friends" and data.social is None:
        data = datasets.simulate(600, 500, 9000, seed=seed, social=0.8, friends=8, popularity=0.4)[0]
        title += " (made data: friends share most of their taste)"
    lacks = {name: lack for name, model in other.models.items() if (lack := model.lacks(data))}
    try:
        found = {} if lacks else run_all(other.models, data, other.protocol, metrics=other.metrics,
                                         controls=other.controls, progress=progress).results
    except RecsysError as error:  # data that is too small to divide like this
        return f"{title}: not shown. {error}"
    finally:
        done(other.title, watch.seconds + watch.compiling)
    if lacks:
        return f"{title}: not shown, as " + ", ".join(f"{name} needs {lack}" for name, lack in lacks.items()) + "."
    rows = [Row(name, result.metrics, result.errors, result.fit_seconds) for name, result in found.items()]
    return Aside(title, rows, other.note)


def _show_aside(aside: Aside | str, console: Console) -> None:
    if isinstance(aside, str):
        console.note(f"{aside}\n")
        return
    names = list(aside.rows[0].metrics)
    lines = [[row.name, *(measured(name, row.metrics[name], row.errors[name]) for name in names)] for row in aside.rows]
    console.table(aside.title, ["model", *names], lines, caption=aside.note)
    console.note()


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

"""Models of every kind beside simple ones and controls: `python -m benchmarks field [SECTION | SECTION/MODEL ...]`.

Each row runs in a process of its own, so that its peak memory is its own; a row is kept as soon as it is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import choosing, store
from benchmarks.accuracy import best, build, load, reached
from benchmarks.accuracy_rows import Row
from benchmarks.datasets import SHARED, Absent, file
from benchmarks.field_rows import ROWS, SECTIONS, Section
from benchmarks.provenance import Machines, stamped
from benchmarks.table import DOCS, put, span
from benchmarks.worker import peak

RESULTS = Path(__file__).parent / "field.json"
_CARD = ("files", "data", "fingerprint", "order", "ties", "split", "candidates", "seen items", "equal scores", "refit")


def measure(name: str) -> dict[str, Any]:
    """Choose on validation data, then fit and evaluate, with controls: a row, with what it took."""
    from recsys.evaluation import by_history, over_seeds

    section, row = SECTIONS[name.partition("/")[0]], ROWS[name]
    wall = time.monotonic()
    about, data = load(row)
    chosen, tried = best(row, data)
    choosing = time.monotonic() - wall
    found = _runs(section, row, data, chosen)
    metrics = {metric: over_seeds(found, metric=metric) for metric in row.metrics}
    result = {
        "name": name, "on": row.data, "section": section.name, "model": found[0].model,
        "settings": {"parameters": dict(row.parameters), "chosen": chosen, "tried": tried, "seeds": list(row.seeds),
                     "divided": [seed for seed in section.divided if seed is not None], "options": dict(row.options)},
        "metrics": {metric: each.value for metric, each in metrics.items()},
        "interval": {metric: [each.low, each.high] for metric, each in metrics.items()},
        "by_seed": {metric: list(each.by_seed) for metric, each in metrics.items()},
        "controls": _controls(section, row, data, chosen, found),
        "by_history": found[0].evaluations[0].by_group(by_history(_split(section, data))) if section.by_history else {},
        "card": _card(found[0].card, row, tried), "fit_seconds": sum(each.fit_seconds for each in found) / len(found)}
    minutes = {"cpu": sum(os.times()[:4]) / 60, "wall": (time.monotonic() - wall) / 60, "choosing": choosing / 60}
    return stamped({**result, "minutes": minutes, "peak_mib": peak()}, about)


def _runs(section: Section, row: Row, data: Any, chosen: Mapping[str, Any]) -> list[Any]:
    """A result for each seed of the model and of the division."""
    from recsys.evaluation import protocols

    files = list(_files(section))
    return [protocols.run(build(row, {**chosen, **({"seed": seed} if len(row.seeds) > 1 else {})}), data, row.protocol,
                          metrics=list(row.metrics), refit=row.refit, seed=division, files=files, **row.options)
            for division in section.divided for seed in row.seeds]


def _controls(section: Section, row: Row, data: Any, chosen: Mapping[str, Any], real: Sequence[Any]
              ) -> dict[str, dict[str, Any]]:
    """The metrics with each control, and how far the real data is ahead, over the same seeds and users."""
    from recsys.evaluation import over_seeds
    from recsys.evaluation.controls import beside

    kind = section.entries[row.name.partition("/")[2]].controls
    first, *rest = data if isinstance(data, tuple) else (data,)
    told = {}
    for label, changed in (beside(build(row, chosen), first, kind) if kind else {}).items():
        found = _runs(section, row, (changed, *rest) if rest else changed, chosen)
        told[label] = {metric: _beside(over_seeds(found, metric=metric), over_seeds(real, found, metric=metric))
                       for metric in row.metrics}
    return told


def _beside(here: Any, lead: Any) -> dict[str, Any]:
    return {"value": here.value, "interval": [here.low, here.high], "lead": lead.value,
            "lead_interval": [lead.low, lead.high], "by_seed": list(lead.by_seed)}


def _split(section: Section, data: Any) -> Any:
    from recsys.evaluation import protocols

    protocol = protocols.find(section.protocol)
    return protocols.divided(protocol, protocols.prepared(protocol, data), section.divided[0], section.options)[0]


def _files(section: Section) -> Iterator[Path]:
    """The files of the set, or of its parts, and others that the section names."""
    from recsys import datasets
    from recsys.data.sources import need

    folder = SHARED / section.data
    if "train" in section.parts:
        yield from (datasets.part_files(folder)[part] for part in section.parts)
    elif section.parts:
        yield from (need(folder, part) for part in section.parts)
    else:
        yield from sorted(path for path in folder.iterdir() if path.is_file())
    yield from map(file, section.files.values())


def _card(card: Mapping[str, Any], row: Row, tried: int) -> dict[str, Any]:
    chosen = f"{tried} settings on the validation part" if tried > 1 else "no settings"
    return {**card, "chosen on": f"{chosen}; epochs on {card['epochs chosen on']}"}


def table(results: Sequence[store.Stored]) -> str:
    """A table a section, rows in the order of the list; those that have not been measured stand there as well."""
    machines, groups = Machines(results), store.by_name(results)
    lines: list[str] = []
    for section in SECTIONS.values():
        held = {label: groups[f"{section.name}/{label}"] for label in section.entries
                if f"{section.name}/{label}" in groups}
        lines += ["", f"## {section.title}", "", *_told(section, held), "",
                  f"| model | {' / '.join(section.metrics)} | to reach | to beat | tried | minutes, CPU / wall | "
                  f"peak memory | seeds | machine |", "|---|---:|---:|---:|---:|---:|---:|---:|---|"]
        for label in section.entries:
            lines += _lines(section, label, held.get(label, ()), machines)
        lines += _histories(section, held)
    return "\n".join([*lines[1:], "", machines.legend()])


def _told(section: Section, held: Mapping[str, Sequence[store.Stored]]) -> list[str]:
    """How the section is measured, by the card of its first row."""
    head = (f"Protocol `{section.protocol}`, {section.trials} trials and {section.minutes:g} minutes a model"
            f"{', learned again from training and validation rows' if section.refit else ''}.")
    if not held:
        return [f"{head} Nothing is measured yet."]
    card = next(iter(held.values()))[0]["card"]
    return [f"{head} " + " ".join(f"{name.capitalize()}: {card[name]}." for name in _CARD if name in card)]


def _lines(section: Section, label: str, group: Sequence[store.Stored], machines: Machines) -> Iterator[str]:
    """A model's row, and one for each of its controls."""
    entry = section.entries[label]
    if not group:
        wanted = [" / ".join(f"{value:.4g}" for value in figures) for figures in (entry.reach, entry.beat)]
        yield f"| {label} | not measured | {wanted[0]} | {wanted[1]} |  |  |  |  |  |"
        return
    row = group[0]
    minutes = [span([one["minutes"][kind] for one in group], "{:.2f}".format) for kind in ("cpu", "wall")]
    seeds = len(row["by_seed"][section.metrics[0]])
    yield "| " + " | ".join([
        f"{label}, `{row['model']}`", " / ".join(_value(group, metric) for metric in section.metrics),
        *(_figures(section, group, figures) for figures in (entry.reach, entry.beat)), str(row["settings"]["tried"]),
        " / ".join(minutes), span([one["peak_mib"] for one in group], "{:,.0f} MiB".format), str(seeds),
        machines.numbers(group)]) + " |"
    for name, control in row["controls"].items():
        told = "; ".join(f"{metric} {_led(each)}" for metric, each in control.items())
        runs = len(next(iter(control.values()))["by_seed"])
        yield f"| {label}, {name} | {told} |  |  |  |  |  | {runs} | {machines.numbers(group)} |"


def _led(control: Mapping[str, Any]) -> str:
    (low, high), (least, most) = control["interval"], control["lead_interval"]
    return (f"{control['value']:.4f} [{low:.4f}, {high:.4f}], real ones ahead by {control['lead']:.4f} "
            f"[{least:.4f}, {most:.4f}]")


def _value(group: Sequence[store.Stored], metric: str) -> str:
    text = span([one["metrics"][metric] for one in group], "{:.4f}".format)
    low, high = (end([one["interval"][metric][place] for one in group]) for place, end in enumerate((min, max)))
    return f"**{text}** [{low:.4f}, {high:.4f}]"


def _figures(section: Section, group: Sequence[store.Stored], wanted: Sequence[float]) -> str:
    """The figures to reach, and whether the machine that is the furthest from them has reached all."""
    text = " / ".join(f"{value:.4g}" for value in wanted)
    short = not all(reached(metric, one["metrics"][metric], value, places=4) for one in group
                    for metric, value in zip(section.metrics, wanted, strict=False))
    return text + " (short)" * short


def _histories(section: Section, held: Mapping[str, Sequence[store.Stored]]) -> Iterator[str]:
    """The first metric by the length of a user's history."""
    rows = {label: group[0]["by_history"] for label, group in held.items() if group[0]["by_history"]}
    if not rows:
        return
    first, metric = next(iter(rows.values())), section.metrics[0]
    names = [f"{name} ({group['users']:.0f})" for name, group in first.items()]
    yield from ["", f"{metric} by the number of a user's events before, with the number of users (first division or "
                    f"fold):", "",
                f"| model | {' | '.join(names)} |",
                f"|---|{'---:|' * len(first)}"]
    yield from (f"| {label} | {' | '.join(f'{groups[name][metric]:.4f}' for name in first)} |"
                for label, groups in rows.items())


def write(results: Sequence[store.Stored]) -> None:
    """Put the tables into their page, and what they say of choosing into its own."""
    put("field", table(results), DOCS / "benchmarks-field.md")
    put("choosing", choosing.table(results), DOCS / "choosing.md")


def apart(name: str) -> dict[str, Any]:
    """A row, measured in a process of its own.

    Raises
    ------
    Absent
        The data is not on this machine.
    subprocess.CalledProcessError
        The process failed; its message is on standard error.
    """
    done = subprocess.run([sys.executable, "-m", "benchmarks", "field", "--here", name], stdout=subprocess.PIPE,
                          text=True, check=False)
    if done.returncode == 3:
        raise Absent(f"{ROWS[name].data} or one of its files is not on this machine")
    done.check_returncode()
    return dict(json.loads(done.stdout))


def main(arguments: Sequence[str]) -> int:
    """Run the rows named, or all: 0, 1 where one fails, 2 for an unknown name, 3 where a set or a model is absent."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks field", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="sections, or rows such as gowalla/EASE")
    parser.add_argument("--here", metavar="ROW", help="measure a row in this process, and print it as JSON")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(ROWS) - set(SECTIONS)
    if unknown or (options.here is not None and options.here not in ROWS):
        print(f"no section or row is named {', '.join(sorted(unknown)) or options.here}; sections are "
              f"{', '.join(SECTIONS)}", file=sys.stderr)
        return 2
    if options.here is not None:
        return _here(options.here)
    chosen = [name for name in ROWS if not options.names or name in options.names
              or name.partition("/")[0] in options.names]
    return max(map(_keep, chosen), default=0)


def _here(name: str) -> int:
    try:
        print(json.dumps(measure(name)))
    except Absent as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 3
    return 0


def _keep(name: str) -> int:
    """Measure a row and keep it at once, as the next may take hours; the code to exit with."""
    from recsys.models import REGISTRY

    if ROWS[name].model not in REGISTRY:
        print(f"{name}: there is no model {ROWS[name].model} yet; skipped", file=sys.stderr)
        return 3
    try:
        row = apart(name)
    except Absent as error:
        print(f"{name}: {error}; skipped, and nothing is written", file=sys.stderr)
        return 3
    except subprocess.CalledProcessError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    print(f"{name}: {row['metrics']}, {row['minutes']['wall']:.1f} minutes, {row['peak_mib']:.0f} MiB", file=sys.stderr)
    write(store.add(RESULTS, [row], list(ROWS)))
    return 0

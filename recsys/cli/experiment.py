"""`recsys experiment`: what the variants of a service have brought, and what other models would have."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from recsys.console import Console
from recsys.errors import DataError, ParameterError

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "what the variants of a service have brought"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    made.add_argument("--events", required=True, metavar="FILE.db", help="the service's log")
    made.add_argument("--config", type=Path, metavar="FILE.toml", help="the service's, for what types of events mean")
    made.add_argument("--alpha", type=float, default=.05, help="of the intervals (default: %(default)s)")
    made.add_argument("--target", action="append", default=[], metavar="NAME=FILE", help="estimate what this model "
                      "would have brought that was not shown; may be repeated")


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys.events import EventLog
    from recsys.experiments import rates
    from recsys.serving.starting import require_extra

    require_extra("recsys experiment")
    from recsys.serving.deployment import Deployed
    from recsys.serving.judging import positives
    from recsys.serving.settings import Variant, types_of

    types = types_of(options.config)
    targets = [Deployed.load(Variant(*_target(text))) for text in options.target]
    with EventLog(options.events, create=False) as log:
        known = log.get("mean")
        mean = float(known) if known else None
        shown, liked = list(log.shown()), list(positives(log, types, mean))
        if not shown:
            raise DataError(f"{options.events}: no lists that were shown are kept; serve with several --variant, or "
                            f"with log_shown = true in the configuration.")
        found = rates(shown, liked, alpha=options.alpha)
        console.table("Variants", found.columns, found.rows, caption=found.caption)
        estimates = [_estimate(target, shown, liked, log, types, options, console) for target in targets]
    if estimates:
        columns = ["model", "IPS", "SNIPS", "doubly robust", "matches", "no support"]
        console.table("Models that were not shown: positive items a list", columns, [row for row, _ in estimates],
                      caption="Intervals: by people. Doubly robust is the one to read, if the share without support is "
                              "low.")
    console.result({"variants": found.to_records(), "targets": [record for _, record in estimates]})


def _target(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise ParameterError(f"--target {text}: give NAME=FILE, such as gru=gru.recsys.")
    return name, path


def _estimate(target: Any, shown: Any, liked: Any, log: Any, types: Any, options: argparse.Namespace,
              console: Console) -> tuple[list[str], dict[str, Any]]:
    """A row of the table, and the same for machines."""
    from dataclasses import asdict

    from recsys.experiments import Logged, estimate_policy
    from recsys.serving.catalogue import Catalogue
    from recsys.serving.judging import lists_of

    name = target.variant.name
    own = [each for each in shown if each.user is not None and each.items]
    if len(own) < len(shown):
        console.warn(f"{name}: {len(shown) - len(own):,} lists of nobody in particular, or without items, are left "
                     f"out.")
    logged = Logged.of(own, liked)
    lists = lists_of(Catalogue(log).view(target), own, log, types)
    found = estimate_policy(logged, logged.numbers(lists), alpha=options.alpha)
    if found.note:
        console.warn(f"{name}: {found.note}.")
    cells = [f"{each.value:.4f} [{each.low:.4f}, {each.high:.4f}]" for each in (found.ips, found.snips, found.dr)]
    return [name, *cells, f"{found.matches:,}", f"{found.unsupported:.1%}"], {"model": name, **asdict(found)}

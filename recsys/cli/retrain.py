"""`recsys retrain`: a model learns again from its data and the log of events, and answers if it is not worse."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from recsys.cli import fitting, reading, texts
from recsys.console import Console
from recsys.files import check_target

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "learn a model again from its data and a log of events, and let it answer if it is not worse"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    made.add_argument("model", type=Path, help="the file of the running model")
    reading.add_data(made, kinds="--kinds")
    made.add_argument("--events", dest="log", type=Path, required=True, metavar="FILE.db",
                      help="the log that `recsys serve --events` writes")
    made.add_argument("--config", type=Path, metavar="FILE.toml",
                      help="what each type of event means, in tables [events.NAME]; that of `recsys serve`")
    made.add_argument("--margin", type=texts.finite, default=0.05,
                      help="how much worse the new model may be, as a share (default: %(default)s)")
    made.add_argument("--newest", type=texts.finite, default=0.1,
                      help="share of the log's events that both models are measured on (default: %(default)s)")
    made.add_argument("--seed", type=texts.seed, default=0, help="of the bootstrap (default: %(default)s)")
    made.add_argument("--force", action="store_true", help="accept the new model whatever was measured")
    made.add_argument("--out", type=Path, help="write the accepted model there, and leave the running one")
    made.add_argument("--keep", type=texts.positive, default=5, metavar="N",
                      help="keep the newest N versions beside the model (default: %(default)s)")
    made.add_argument("--low-priority", action="store_true", help="leave the processor to others that want it")


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys.artifact.versions import Versions
    from recsys.events import EventLog
    from recsys.retraining import retrain
    from recsys.serving.settings import types_of

    check_target(options.model if options.out is None else options.out)
    types = types_of(options.config)
    if options.low_priority and hasattr(os, "nice"):
        os.nice(19)
    with EventLog(options.log, create=False) as log:
        data = reading.read_telling(options, console)
        found = retrain(options.model, data, log, types, margin=options.margin, newest=options.newest,
                        seed=options.seed, force=options.force, out=options.out,
                        progress=fitting.progress_bar(options))
    if found.after != found.before:
        Versions(options.model).prune(options.keep)
    if found.strange:
        console.warn(f"{options.log}: {found.strange:,} events have ids of another kind than the data, and count "
                     f"nothing.")
    told = {name: value for name, value in found.to_record().items() if name not in ("why", "measured", "strange")}
    console.pairs("Learned again" if found.accepted else "Not accepted", told)
    console.note(found.why)
    console.result(found.to_record())

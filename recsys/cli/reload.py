"""`recsys reload`: have a running service load its model files again."""

from __future__ import annotations

import argparse
import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from recsys.console import Console
from recsys.errors import ParameterError, RecsysError

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "have a running service load its model files again"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    made.add_argument("--url", default="http://127.0.0.1:8000", help="where the service is (default: %(default)s)")
    made.add_argument("--variant", help="that variant's file alone")
    made.add_argument("--no-verify", action="store_true", help="do not compare all arrays with their checksums")
    made.add_argument("--token-file", type=Path, metavar="FILE",
                      help="holds the service's token; or the environment has it as RECSYS_TOKEN")


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    if not options.url.startswith(("http://", "https://")):
        raise ParameterError(f"--url {options.url}: give an address such as http://127.0.0.1:8000.")
    token = (os.environ.get("RECSYS_TOKEN", "") if options.token_file is None
             else options.token_file.read_text(encoding="utf-8").strip())
    asked: dict[str, Any] = {"verify": not options.no_verify}
    if options.variant is not None:
        asked["variant"] = options.variant
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(f"{options.url.rstrip('/')}/v1/reload", json.dumps(asked).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        raise RecsysError(f"{options.url}: {_detail(error)}") from error
    except urllib.error.URLError as error:
        raise RecsysError(f"{options.url}: no service answers there ({error.reason}); is it running?") from error
    names = ", ".join(f"{each['name']} {each['version']}" for each in found["variants"])
    console.note(f"Loaded {names} in {found['seconds']:.3f} s.")
    console.result(found)


def _detail(error: urllib.error.HTTPError) -> str:
    """What a problem document says, or the status."""
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the service answers {error.code} {error.reason}."

"""Recommendations for real people, live: an ASGI application that answers from what a person did a moment ago.

It needs fitted models' files, and learns nothing itself. `create_app` is for any ASGI server; the command
`recsys serve` runs it with uvicorn in several processes.
"""

from __future__ import annotations

from recsys.lazy import resolving

__all__ = ["Limits", "Settings", "Variant", "create_app"]

__getattr__, __dir__ = resolving(__name__, {
    "create_app": "recsys.serving.starting", "Limits": "recsys.serving.settings", "Settings": "recsys.serving.settings",
    "Variant": "recsys.serving.settings"})

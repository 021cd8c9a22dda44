"""The service for any ASGI server, and what it needs to be installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
import weakref
from typing import TYPE_CHECKING, Any

from minidl import MissingExtraError
from recsys.serving.settings import Settings, Variant

if TYPE_CHECKING:
    from recsys.serving.app import App

__all__ = ["create_app", "require_extra"]


def require_extra(purpose: str) -> None:
    """Raise MissingExtraError unless everything is installed that a service needs."""
    for package in ("starlette", "uvicorn", "msgspec", "prometheus_client"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "serve", purpose)


def create_app(model: str | os.PathLike[str] | None = None, *, settings: Settings | None = None, **given: Any) -> App:
    """The service as an ASGI application, for any ASGI server with one process.

    Parameters
    ----------
    model : path, optional
        A file that `save` wrote; or `settings` names some.
    settings : Settings, optional
    **given
        Fields of `Settings`, such as `events="events.db"`.

    Returns
    -------
    App

    Examples
    --------
    >>> from recsys import datasets
    >>> from recsys.models import EASE
    >>> path = f"{tempfile.mkdtemp()}/ease.recsys"
    >>> EASE().fit(datasets.simulate(n_users=50, n_items=40, n_events=900, seed=0)[0]).save(path)
    >>> app = create_app(path)  # then: uvicorn module:app
    """
    require_extra("recsys.serving")
    from recsys.serving.app import App

    if settings is None:
        if model is None:
            raise TypeError("create_app takes a model file, or settings that name some")
        settings = Settings((Variant("default", os.fspath(model)),), **given)
    folder = tempfile.mkdtemp(prefix="recsys-serve-")
    app = App(settings, folder)
    weakref.finalize(app, shutil.rmtree, folder, ignore_errors=True)
    return app

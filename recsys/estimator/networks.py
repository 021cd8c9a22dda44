"""Networks by name, so that a file can say which one its weights belong to."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from recsys.errors import ArtifactError
from recsys.estimator.arrays import Arrays, within

__all__ = ["NETWORKS", "Architecture", "own_networks"]

NETWORKS: dict[str, str] = {
    "autoencoder": "recsys.models.autoencoders.network.autoencoder",
    "linear autoencoder": "recsys.models.autoencoders.network.linear_autoencoder",
    "variational autoencoder": "recsys.models.autoencoders.network.variational_autoencoder",
    "kernel autoencoder": "recsys.models.autoencoders.kernelised.kernel_autoencoder",
    "sequence": "recsys.models.sequential.network.sequence",
    "gmf": "recsys.models.pairs.network.gmf",
    "mlp": "recsys.models.pairs.network.mlp",
    "neumf": "recsys.models.pairs.network.neumf",
    "convncf": "recsys.models.pairs.network.convncf",
    "factorization": "recsys.models.features.network.factorization",
    "content": "recsys.models.content.network.content",
}
"""What makes each network that a file may name: a function of the numbers of users and items, a generator, and the
architecture's options and arrays by name."""


_OWN: ContextVar[Mapping[str, Callable[..., Any]]] = ContextVar("own networks", default=MappingProxyType({}))


@contextmanager
def own_networks(makers: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """While it lasts, these make networks, too, by the names of the classes that build them."""
    token = _OWN.set(makers)
    try:
        yield
    finally:
        _OWN.reset(token)


@dataclass(frozen=True, eq=False)
class Architecture:
    """What a network is made from, before it has learned anything.

    A network with weights whose row i is of user i names the modules that hold them as `of_users`, so that users can be
    taken out. One whose `data` has something of users has `data_of_users(data, keep)`, which gives, of bool (n_users,),
    the data of those who stay.

    Parameters
    ----------
    name : str
        In `NETWORKS`, or that of a class of your own, which builds it from its hyper-parameters.
    options : mapping
        JSON values.
    data : mapping of str to ndarray
        What else it is built upon, such as encoded features.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, np.ndarray] = field(default_factory=dict)

    def build(self, n_users: int, n_items: int, rng: np.random.Generator) -> Any:
        """A new network, with numbers drawn from the generator."""
        make = _OWN.get().get(self.name)
        if make is None:
            if self.name not in NETWORKS:
                raise ArtifactError(f"there is no network {self.name!r}; a class of your own that builds it is given "
                                    f"to recsys.load as classes=")
            module, name = NETWORKS[self.name].rsplit(".", 1)
            make = getattr(importlib.import_module(module), name)
        return make(n_users, n_items, rng, **self.options, **({"data": self.data} if self.data else {}))

    def load(self, arrays: Arrays, n_users: int, n_items: int) -> Any:
        """The network with the weights among the arrays of a file, ready to answer."""
        network = self.build(n_users, n_items, np.random.default_rng(0))
        network.load_state_dict(within("network", arrays))
        network.eval()
        return network

    def settings(self) -> dict[str, Any]:
        """What JSON holds of it."""
        return {"name": self.name, **self.options}

    def arrays(self, network: Any) -> dict[str, np.ndarray]:
        """The network's weights and what it is built upon, for a file."""
        weights = {f"network.{name}": np.asarray(value) for name, value in network.state_dict().items()}
        return weights | {f"built.{name}": array for name, array in self.data.items()}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], arrays: Arrays) -> Self:
        """What `settings` and `arrays` described."""
        options = {key: tuple(value) if isinstance(value, list) else value
                   for key, value in settings.items() if key != "name"}
        return cls(settings["name"], options, within("built", arrays))

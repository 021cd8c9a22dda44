"""What is common to models that are made of other models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from recsys.data.interactions import Interactions
from recsys.errors import ParameterError
from recsys.estimator import Recommender
from recsys.models.hybrid.naming import made

__all__ = ["Composed"]


class Composed(Recommender):
    """A model whose parts are the hyper-parameter `models`, or `model`: what they need and look at, it does."""

    reads: ClassVar[Any] = property(lambda self: tuple(dict.fromkeys(
        name for part in self.parts() for name in part.reads)))

    model: Any  # one of these two is a hyper-parameter
    models: Any

    def parts(self) -> list[Recommender]:
        """The models, not fitted.

        Raises
        ------
        ParameterError
            There is no such model.
        """
        if "model" in self.parameter_names():
            return [made(self.model)]
        if isinstance(self.models, str) or not isinstance(self.models, Sequence):
            raise ParameterError(f"models must be several models or their names, such as ('ALS', 'ItemKNN'), not "
                                 f"{self.models!r}.")
        return list(map(made, self.models))

    @property
    def draws(self) -> bool:
        """Whether a part's learning does."""
        return any(part.draws for part in self.parts())

    @property
    def looks_at_values(self) -> bool:
        """Whether a part does."""
        return any(part.looks_at_values for part in self.parts())

    @property
    def looks_at_times(self) -> bool:
        """Whether a part does."""
        return any(part.looks_at_times for part in self.parts())

    def lacks(self, data: Interactions) -> str:
        """What the parts need and the data does not have."""
        return ", ".join(dict.fromkeys(lack for part in self.parts() if (lack := part.lacks(data))))

    def with_blanks(self, data: Interactions) -> Interactions:
        """The data with blank content for the parts that read some."""
        for part in self.parts():
            data = part.with_blanks(data)
        return data

    def check_parameters(self) -> None:
        """Raise ParameterError for the first hyper-parameter, of the parts too, that is out of its range."""
        super().check_parameters()
        parts = self.parts()
        if "models" in self.parameter_names() and len(parts) < 2:
            raise ParameterError(f"{type(self).__name__}: models must be two or more, not {len(parts)}.")
        for part in parts:
            part.check_parameters()

"""Models that learn so quickly that new events are learned along with all others, exactly."""

from __future__ import annotations

from typing import Self

from recsys.data.interactions import Interactions
from recsys.errors import UnsupportedError
from recsys.models.base import Recommender
from recsys.models.updating import all_titles, behind, chained, renumbered

__all__ = ["LearnsAgain"]


class LearnsAgain(Recommender):
    """Keeps its training events, and `partial_fit` learns from them and the new ones as `fit` does from all.

    So the distance to a refit is 0, to the bit if users and items are numbered alike, and it costs what a `fit` costs.
    """

    @property
    def _keeps_events(self) -> bool:
        return True

    def _updated(self, data: Interactions) -> Self:
        self.require_seen("partial_fit")
        if self.events is None:
            raise UnsupportedError(f"{type(self).__name__}.partial_fit needs the events of the training, and the file "
                                   f"of this model is of an earlier version without them; fit it again.")
        new, titles = renumbered(self, data), all_titles(self, data)
        rows = behind(self.events, new.csr)
        everything = Interactions(new.users, new.items, rows.row_of_entry, rows.indices, rows.data,
                                  item_features=titles, name=new.name)
        learner = self._learner(everything)
        learner._fit(everything, None, None)
        learner.fingerprint = chained(self.fingerprint, new.fingerprint())
        return learner

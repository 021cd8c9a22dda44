"""The fold-in of implicit feedback where features say what a user's vector is likely to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recsys.data.csr import CSR
from recsys.estimator.arrays import Arrays, expect
from recsys.estimator.facts import Facts
from recsys.estimator.scorers.confidence import Confidence

if TYPE_CHECKING:
    from recsys.estimator.scorers.factors import Factors

__all__ = ["Anchored"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Anchored(Confidence):
    """As `Confidence`, where the vectors of users of the training are drawn to what their features foretell.

    The penalty of user u is `reg (sum_i c_ui) ** reg_exponent |x_u - m_u|**2`, m_u being foretold; that of anybody else
    who has a history is the same with m 0, and who has none gets the usual vector.

    Parameters
    ----------
    foretold : ndarray of float32, shape (n_users, f), or None
        m, None for 0: then features tell only of those who have no history.
    usual : ndarray of float32, shape (f,)
        The mean vector of the users of the training.
    by_friend : ndarray of float32, shape (n_users, f), or None
        What each user adds to the foretold vector of a friend; None where friends say nothing.
    """

    foretold: np.ndarray | None
    usual: np.ndarray
    by_friend: np.ndarray | None = None

    def vectors(self, history: CSR, factors: Factors) -> tuple[np.ndarray, None]:
        """(B, f); each row's does not depend on the others."""
        vectors, _ = super().vectors(history, factors)
        vectors[history.counts == 0] = self.usual
        return vectors, None

    def unexplained(self, indices: np.ndarray, values: np.ndarray | None, item: int, factors: Factors,
                    user: int) -> float:
        """`ridge y_i' A^-1 m_u`: what the features of the user add to a score."""
        vector = factors.item_factors[item].astype(np.float64)
        if not len(indices):
            return float((self.usual if user < 0 else factors.user_factors[user]) @ vector)
        if user < 0 or self.foretold is None:
            return 0.0
        system, _, ridge = self._equations(indices, values, factors)
        return float(ridge * self.foretold[user] @ np.linalg.solve(system, vector))

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Those of `Confidence`, and the vectors."""
        settings, arrays = super().state()
        held = {"foretold": self.foretold, "by_friend": self.by_friend, "usual": self.usual}
        return settings, arrays | {name: array for name, array in held.items() if array is not None}

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts, width: int) -> Self:
        """What `state` described."""
        foretold, by_friend = (expect(arrays, name, (len(facts.users), width)) if name in arrays else None
                               for name in ("foretold", "by_friend"))
        plain = Confidence.restore(settings, arrays, facts, width)
        return cls.of(plain, foretold, expect(arrays, "usual", (width,)), by_friend)

    @classmethod
    def of(cls, plain: Confidence, foretold: np.ndarray | None, usual: np.ndarray,
           by_friend: np.ndarray | None) -> Self:
        """The fold-in without features, and what these add."""
        return cls(plain.alpha, plain.reg, plain.reg_exponent, plain.unit, plain.history, foretold=foretold,
                   usual=usual, by_friend=by_friend)

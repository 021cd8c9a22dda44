"""What the people have interacted with whom somebody trusts."""

from __future__ import annotations

from typing import Any, ClassVar

from recsys.data.interactions import Interactions
from recsys.estimator import Can, Context, Fitted, Learned, Recommender
from recsys.estimator.parameters import Check, at_least, one_of
from recsys.estimator.scorers.friends import Friends
from recsys.models.neighbours.implicit import histories_of
from recsys.models.social.links import links_of

__all__ = ["TrustKNN"]


class TrustKNN(Recommender):
    """Items of the people whom a user trusts, or is friends with: the neighbours of `UserKNN`, by links, not by taste.

    The score of i is `sum_v w_uv x_vi` with `w_u = t_u + indirect * t_u T`, where the links `t_u` of a user, a row of
    T, weigh 1 together: friends, and friends of friends by how many ways lead to them. A user's own history plays no
    part, so it answers cold users who have friends as well as anybody; whose friends have no interactions, or who has
    no friends, gets popular items.

    Links are personal: they are in a file only with the histories (`seen=True`), and who is taken out of a model is
    gone from everybody's links. `partial_fit` is not supported: links come with `fit`.

    Parameters
    ----------
    indirect : float
        Weight of friends of friends, together, relative to friends.
    weights : {"binary", "value", "idf"}
        What the entries of X are: 1, the interaction's (last) value, or the item's inverse frequency.

    References
    ----------
    Massa, Avesani, Trust-aware Recommender Systems, RecSys 2007 (neighbours by trust, which goes on along links and
    fades). Golbeck, Computing and Applying Trust in Web-based Social Networks, 2005.

    Examples
    --------
    >>> from recsys.data import IdMap
    >>> from recsys.data.csr import CSR
    >>> friends = CSR.from_pairs([2], [0], shape=(3, 3))
    >>> data = Interactions.from_arrays([1, 1, 2], ["tea", "jam", "oil"], user_ids=IdMap([1, 2, 3]), social=friends)
    >>> TrustKNN().fit(data).recommend(3, k=2).items.tolist()
    ['jam', 'tea']
    """

    can: ClassVar[Can] = Can(cold_user=True)
    reads: ClassVar[Any] = ("friends",)
    needs: ClassVar[tuple[str, ...]] = ("friends",)
    checks: ClassVar[dict[str, Check]] = {"indirect": at_least(0), "weights": one_of("binary", "value", "idf")}

    indirect: float
    weights: str

    def __init__(self, *, indirect: float = 1.0, weights: str = "binary") -> None:
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """The links and the histories are all there is."""
        links = links_of(f"{type(self).__name__}.fit", data)
        histories = histories_of(self, context.facts).storing(data.csr, context.facts.seen)
        return Learned(Friends(self.can, histories, links, indirect=self.indirect))

    def kept_content(self, fitted: Fitted) -> dict[str, Any]:
        """The links."""
        return {"social": fitted.answers_by(Friends).links}

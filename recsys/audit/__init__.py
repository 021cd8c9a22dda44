"""Whom a model serves badly, what it shows and hides, whom it gives away: with intervals, and beside controls.

>>> from recsys.audit import audit, membership, statement
"""

from recsys.audit.auditing import Audit, audit
from recsys.audit.inference import Membership, membership
from recsys.estimator.stating import Statement, statement

__all__ = ["Audit", "Membership", "Statement", "audit", "membership", "statement"]

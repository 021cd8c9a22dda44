"""What people did, what was shown to them, what the items are: one durable file that all processes of a host share.

>>> import tempfile
>>> with EventLog(f"{tempfile.mkdtemp()}/log.db") as log:
...     log.append([Event("e1", "ann", 7, "click", None, 1.7e9, None)])
...     [(event.item, event.type) for event in log.of_user("ann", 50)]
1
[(7, 'click')]
"""

from recsys.events.announcing import Stamp, announce, announced, stamp_of
from recsys.events.log import EventLog
from recsys.events.records import Erased, Event, Item, Shown, State
from recsys.events.types import Condition, EventType, EventTypes

__all__ = ["Condition", "Erased", "Event", "EventLog", "EventType", "EventTypes", "Item", "Shown", "Stamp", "State",
           "announce", "announced", "stamp_of"]

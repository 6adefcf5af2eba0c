"""The keys of a rule beside `source`, `type`, `when`, `stop`, `chat`, `message`, `follow`, `on_unknown`."""

from typing import Final

from relay.rules.keys.budget import Budget
from relay.rules.keys.changed import Changed
from relay.rules.keys.debounce import Debounce, gathers
from relay.rules.keys.delay import Delay
from relay.rules.keys.expires import Expires
from relay.rules.keys.ignore import Ignore
from relay.rules.keys.key import Key, Unless
from relay.rules.keys.labels import LabelsKey
from relay.rules.keys.let import Let
from relay.rules.keys.limit import ChatLimit
from relay.rules.keys.loop import Loop
from relay.rules.keys.newest import Newest
from relay.rules.keys.once import Once
from relay.rules.keys.order import Order
from relay.rules.keys.priority import Priority
from relay.rules.keys.redact import Redact
from relay.rules.keys.result import ResultKey
from relay.rules.keys.sample import Sample
from relay.rules.keys.schedule import Schedule
from relay.rules.keys.shadow import Shadow
from relay.rules.keys.thread import Thread
from relay.rules.keys.untrusted import Untrusted, UntrustedMax

KEYS: Final[tuple[type[Key], ...]] = (
    *(Let, Ignore, Sample, Untrusted, UntrustedMax, Redact, Shadow),
    *(Changed, Newest, Once),
    *(Debounce, Thread, Order, Delay, Schedule),
    *(Expires, Loop, ChatLimit, Budget, Priority),
    *(LabelsKey, ResultKey),
)
"""In the order in which an event meets them."""

__all__ = ["KEYS", "Key", "Unless", "gathers"]

"""The tables of the ledger, the same on SQLite and PostgreSQL.

`events`, `dispatches`, `results` and `attempts` are wide and mostly inserted into. `work` and `outbox` are narrow and
hold only what is in progress: `work` has one row per live dispatch, `outbox` one per result and destination that is not
confirmed yet. Their rows are deleted at the end, so that the cost of a claim does not grow with history. `seen` stores
identities separately, so that they outlive pruned events. `acceptances` has one row per accepted message without an
id, for an hour: it makes one redelivery of that message a duplicate. `labels` has the labels of an event's dispatches,
each once, for searching.

- A dispatch is live while it has a row in `work`. `dispatches.state` is null then, and is written once, when the
  dispatch ends or is parked, which deletes the row of `work`. A retry by hand inserts a new row, whose `fence` must be
  above that of any former row: it is the time in milliseconds.
- In `work`, exactly the times that apply to the state are set: `due_at` while the row can be claimed (`ready`,
  `waiting`, `messaging`, `held` for a time), `lease_until` while a replica works on it (`sending`, `messaging`),
  `look_at` in `checking`, none in `held` for another. `number` counts the attempts of the same kind, `attempts` the
  calls that count towards the chat. An attempt that is open has its start here (`started_at`) and gets a row in
  `attempts` when it, or its lease, ends.
- `counters` has four rows: `position` (the last cursor given to a result; on SQLite it is written only
  when results are pruned), `pace` (the next free start under
  `cargo.rate`, in microseconds), `paused` (milliseconds of global pauses that have ended), `paused_since` (start of the
  present pause, else 0).
- Only `kept` and `learned` hold credentials: those of refused requests, for as long as the requests can be verified
  again, and the secrets that handshakes brought. Only verification reads them.
- `dead` records what went to RabbitMQ's dead letters, without bodies.
- `rule_sets` has the versions of the rules that were in force together, `events.rule_set` says which decided an event.
- `rule_versions` has each text of a rule once. It is written before the rule comes into force, so that no dispatch
  names a version that is not there.
- `jobs` has what people started and the relay goes on with: what is asked for, how far it is, who asked.
- `rule_keys` has what the keys of rules remember (`changed`, `newest`, `once`, `thread`, `order`, `loop`, `limit`,
  `budget`), one row per rendered key, hashed. `windows` has those of `debounce` that are open or about to be closed.
- `paused_rules` has the rules that a person has paused, and those whose held dispatches are being let go; `work` names
  the rule of each dispatch that such a pause holds (`paused_rule`).
- `minutes` has what each replica has counted in a minute, `usage` the chats of rules by day. They are never made of
  events, which may be pruned, or be too many to be read.
- `replicas` has one row per process, which it renews every ten seconds; those not seen for an hour are pruned.
- `problems` has one unresolved row per key; a resolved one stays as history. `alerts` has one row per message about a
  problem and receiver that has not taken it. A receiver is the fingerprint of its URL, which may be a credential.
- `ended_sessions` has those from which somebody has signed out, until they would have ended anyway. One that goes on is
  in its cookie only.

On PostgreSQL `events`, `labels`, `dispatches`, `attempts` and `results` are partitioned by day, by ids that begin with
their time, and pruning drops partitions (`queries/days.py`, `queries/drop.py`). `seen` is partitioned by hash: each
part is vacuumed by itself.

Times are integers, milliseconds UTC by the database's clock. Exceptions, which come from outside it, are `events.time`,
`events.received_at`, `results.time`, `rejections.at`, `kept.expires_at` and `dead.at`. JSON is stored as text. There
are no foreign keys: related rows are inserted together and pruned together, and checks would slow down every insert.
"""

from relay.ledger.schema.base import RANK, Id, metadata
from relay.ledger.schema.counted import minutes, usage
from relay.ledger.schema.received import (
    acceptances,
    dead,
    events,
    kept,
    labels,
    learned,
    paused_sources,
    rejections,
    seen,
    suspects,
)
from relay.ledger.schema.ruled import paused_rules, rule_keys, rule_sets, rule_versions, windows
from relay.ledger.schema.sent import attempts, counters, dispatches, leases, pauses, replicas, slots, work
from relay.ledger.schema.told import outbox, results
from relay.ledger.schema.watched import acts, alerts, ended_sessions, jobs, problems

__all__ = [
    "RANK",
    "Id",
    "acceptances",
    "acts",
    "alerts",
    "attempts",
    "counters",
    "dead",
    "dispatches",
    "ended_sessions",
    "events",
    "jobs",
    "kept",
    "labels",
    "learned",
    "leases",
    "metadata",
    "minutes",
    "outbox",
    "paused_rules",
    "paused_sources",
    "pauses",
    "problems",
    "rejections",
    "replicas",
    "results",
    "rule_keys",
    "rule_sets",
    "rule_versions",
    "seen",
    "slots",
    "suspects",
    "usage",
    "windows",
    "work",
]

"""All pages and acts, in the order of the navigation."""

from typing import Final

from relay.ops.console import (
    acts,
    event,
    events,
    overview,
    problems,
    refused,
    results,
    rules,
    sample,
    sources,
    usage,
    work,
)
from relay.ops.console.page import ConsolePage, PageAct

PAGES: Final = (
    ConsolePage("/", "overview.html", overview.show, nav="Overview"),
    ConsolePage("/problems", "problems.html", problems.show, nav="Problems"),
    ConsolePage("/events", "events.html", events.show, nav="Events"),
    ConsolePage("/events/{id}", "event.html", event.show_event),
    ConsolePage("/events/{id}/became", "became.html", event.show_became),
    ConsolePage("/events/{id}/raw", "", event.show_raw),
    ConsolePage("/dispatches/{id}/request", "", event.show_request),
    ConsolePage("/refused", "refused.html", refused.show, nav="Refused"),
    ConsolePage("/sources", "sources.html", sources.show, nav="Sources"),
    ConsolePage("/sources/{name}", "source.html", sources.show_source),
    ConsolePage("/rules", "rules.html", rules.show, nav="Rules"),
    ConsolePage("/rules/{name}", "rule.html", rules.show_rule, answer=rules.try_rule),
    ConsolePage("/results", "results.html", results.show, nav="Results"),
    ConsolePage("/usage", "usage.html", usage.show, nav="Usage"),
    ConsolePage("/acts", "acts.html", acts.show, nav="Acts"),
)
ACTS: Final = (
    PageAct("/problems/{id}/acknowledge", problems.ask_acknowledge, problems.acknowledge),
    PageAct("/problems/{id}/resolve", problems.ask_resolve, problems.resolve),
    PageAct("/events/{id}/replay", work.ask_replay, work.replay),
    PageAct("/dispatches/{id}/retry", work.ask_retry, work.retry),
    PageAct("/dispatches/{id}/cancel", work.ask_cancel, work.cancel),
    PageAct("/refused/{name}/readmit", refused.ask_readmit, refused.readmit),
    PageAct("/sources/{name}/pause", sources.ask_pause, sources.pause),
    PageAct("/sources/{name}/resume", sources.ask_resume, sources.resume),
    PageAct("/sources/{name}/sample", sample.ask, sample.send),
    PageAct("/rules/{name}/pause", rules.ask_pause, rules.pause),
    PageAct("/rules/{name}/resume", rules.ask_resume, rules.resume),
)

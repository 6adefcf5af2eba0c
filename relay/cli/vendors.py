"""What `relay init` knows of vendors: a name for the source, and a first rule that fits their events."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Vendor:
    """A first configuration for one vendor.

    `lines` are the source's keys in YAML; `type` and `when` choose events, `name` and `meta` are the chat's. `setup`
    says what is to be done at the vendor's.
    """

    source: str
    lines: tuple[str, ...]
    type: str
    when: str | None
    name: str
    meta: tuple[str, ...]
    setup: str


def _webhook(scheme: str, *more: str) -> tuple[str, ...]:
    return ("type: webhook", f"scheme: {scheme}", *more)


VENDORS: Final = {
    "zendesk": Vendor(
        "helpdesk",
        _webhook("zendesk", "secret: ${ZENDESK_SECRET}"),
        "zen:event-type:ticket.*",
        'data.detail.priority | lower in ["high", "urgent"]',
        "Ticket #{{ data.detail.id }}: {{ data.detail.subject }}",
        ('ticketId: "{{ data.detail.id }}"',),
        "Zendesk: Admin Center > Apps and integrations > Webhooks, subscribe to ticket events, show the signing secret",
    ),
    "github": Vendor(
        "github",
        _webhook("github", "secret: ${GITHUB_SECRET}"),
        "issues.opened",
        None,
        "Issue #{{ data.issue.number }}: {{ data.issue.title }}",
        ('issue: "{{ data.issue.html_url }}"',),
        "GitHub: the repository's Settings > Webhooks, content type application/json, the secret is yours to choose",
    ),
    "standard-webhooks": Vendor(
        "partners",
        _webhook("standard-webhooks", "secret: ${WEBHOOK_SECRET}"),
        "*",
        None,
        "{{ event.type }}",
        ('eventId: "{{ event.external_id }}"',),
        "the sender shows a secret that begins with whsec_",
    ),
    "hmac": Vendor(
        "shop",
        _webhook(
            "hmac",
            "secret: ${SHOP_SECRET}",
            "header: X-Signature",
            "algorithm: sha256",
            "encoding: hex",
            'prefix: "sha256="',
            'content: "{{ body }}"',
            'event: {id: "{{ data.id }}", type: "{{ data.type }}"}',
        ),
        "*",
        None,
        "{{ event.type }}",
        ('eventId: "{{ event.external_id }}"',),
        "the sender signs the body with HMAC; set header, algorithm, encoding, prefix and content as it documents",
    ),
    "bearer": Vendor(
        "crm",
        _webhook("bearer", "secret: ${CRM_TOKEN}", 'event: {id: "{{ data.id }}", type: "{{ data.type }}"}'),
        "*",
        None,
        "{{ event.type }}",
        ('eventId: "{{ event.external_id }}"',),
        "the sender sends the header Authorization: Bearer with this token",
    ),
    "basic": Vendor(
        "crm",
        _webhook(
            "basic",
            "username: relay",
            "secret: ${CRM_PASSWORD}",
            'event: {id: "{{ data.id }}", type: "{{ data.type }}"}',
        ),
        "*",
        None,
        "{{ event.type }}",
        ('eventId: "{{ event.external_id }}"',),
        "the sender signs in with this user and password (HTTP Basic)",
    ),
    "rabbitmq": Vendor(
        "crm-bus",
        ("type: amqp", "queue: crm.events", 'event: {id: "{{ data.id }}"}'),
        "*",
        None,
        "{{ event.type }}",
        ('eventId: "{{ event.external_id }}"',),
        "publish JSON with a message_id, or CloudEvents, to the queue crm.events",
    ),
}

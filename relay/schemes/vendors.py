"""The vendors: one entry of data each, to be checked against the pages named under `facts`."""

from typing import Final

from relay.schemes.seal import Places, Seal, Stamp, Vendor


def _standard(family: str) -> Seal:
    return Seal(
        header=f"{family}-signature",
        content=f'{{{{ headers["{family}-id"] }}}}.{{{{ timestamp }}}}.{{{{ body }}}}',
        encoding="base64",
        prefix="v1,",
        separator=" ",
        stamp=Stamp(f"{family}-timestamp"),
        key="whsec",
    )


VENDORS: Final[dict[str, Vendor]] = {
    "standard-webhooks": Vendor(
        seals=(_standard("webhook"), _standard("svix")),
        places=Places(
            id=('{{ headers["webhook-id"] }}', '{{ headers["svix-id"] }}'),
            type=("{{ data.type }}",),
            time=("{{ data.timestamp }}",),
        ),
        facts=("https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",),
        id_header="webhook-id",
    ),
    "github": Vendor(
        seals=(Seal(header="x-hub-signature-256", prefix="sha256="),),
        places=Places(
            id=('{{ headers["x-github-delivery"] }}',),
            type=('{{ headers["x-github-event"] }}.{{ data.action }}', '{{ headers["x-github-event"] }}'),
            subject=("{{ data.repository.full_name }}",),
        ),
        facts=(
            "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
            "https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers",
        ),
        id_header="x-github-delivery",
        type_header="x-github-event",
    ),
    # The documents give no window for the time; the house's default holds, and `tolerance` widens it.
    "zendesk": Vendor(
        seals=(
            Seal(
                header="x-zendesk-webhook-signature",
                content="{{ timestamp }}{{ body }}",
                encoding="base64",
                stamp=Stamp("x-zendesk-webhook-signature-timestamp", unit="rfc3339"),
            ),
        ),
        places=Places(
            id=("{{ data.id }}", '{{ headers["x-zendesk-webhook-invocation-id"] }}'),
            type=("{{ data.type }}",),
            subject=("{{ data.subject }}",),
            time=("{{ data.time }}",),
        ),
        facts=("https://developer.zendesk.com/documentation/webhooks/verifying/",),
        id_header="x-zendesk-webhook-invocation-id",
    ),
}

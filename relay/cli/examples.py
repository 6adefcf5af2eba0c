"""One example for each command, as `--help` shows it."""

from typing import Final

_ID: Final = "01a20b26-fffc-76fa-834c-22518cbcf66f"

EXAMPLES: Final = {
    "serve": "relay serve --config config/relay.yaml --log-format json",
    "demo": "relay demo --once",
    "init": "relay init zendesk --out relay.yaml",
    "check": "relay check --config relay.yaml",
    "sources": "relay sources hubspot",
    "recipes": "relay recipes hubspot --sample",
    "try": "relay try helpdesk ticket.json --config relay.yaml",
    "send": "relay send helpdesk ticket.json --config relay.yaml",
    "verify": "relay verify slack body.json --secret-env SLACK_SECRET -H 'X-Slack-Signature: v0=...'",
    "sandbox": "relay sandbox --port 8090 --lost 0.1",
    "events": "relay events --status failed --since 1h",
    "show": f"relay show {_ID}",
    "replay": f"relay replay {_ID}",
    "retry": f"relay retry --render {_ID}",
    "cancel": "relay cancel --parked unknown",
    "readmit": "relay readmit helpdesk --dry-run",
    "forget": "relay forget notion --yes",
    "tail": "relay tail --after 0 --no-follow --json",
    "migrate": "relay migrate --config relay.yaml --pending",
    "rekey": "relay rekey --config relay.yaml",
    "topology": "relay topology --config relay.yaml",
    "schema": "relay schema result",
    "health": "relay health --url http://127.0.0.1:8082",
}

"""The example of each command in its `--help`."""

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
    "rehearse": "relay rehearse new.yaml --since 7d --fail-on-change",
    "send": "relay send helpdesk ticket.json --config relay.yaml",
    "verify": "relay verify slack body.json --secret-env SLACK_SECRET -H 'X-Slack-Signature: v0=...'",
    "sandbox": "relay sandbox --port 8090 --lost 0.1",
    "events": "relay events --status failed --since 1h",
    "show": f"relay show {_ID}",
    "replay": "relay replay --since 24h --rule urgent --dry-run",
    "jobs": f"relay jobs --cancel {_ID}",
    "retry": f"relay retry --render {_ID}",
    "cancel": "relay cancel --parked unknown",
    "acts": "relay acts --limit 20",
    "pause": "relay pause rule urgent-ticket",
    "resume": "relay resume rule urgent-ticket",
    "rules": "relay rules urgent-ticket",
    "usage": "relay usage --since 30d",
    "problems": "relay problems --kind failures",
    "readmit": "relay readmit helpdesk --dry-run",
    "dead": "relay dead --requeue --source crm-bus",
    "forget": "relay forget notion --yes",
    "erase": "relay erase --label customer=Acme --source helpdesk",
    "tail": "relay tail --forward localhost:4242/results",
    "doctor": "relay doctor --url http://127.0.0.1:8081",
    "reload": "relay reload --url http://127.0.0.1:8081",
    "diff": "relay diff --config relay.yaml",
    "migrate": "relay migrate --config relay.yaml --pending",
    "rekey": "relay rekey --config relay.yaml",
    "topology": "relay topology --config relay.yaml",
    "schema": "relay schema result",
    "health": "relay health --url http://127.0.0.1:8082",
}

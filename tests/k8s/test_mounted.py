"""Relay on its mounted ConfigMaps, as the kubelet brings a rendered change: rules are followed, and no pod ends."""

import re

from tests.app.reloading import living
from tests.k8s.kustomize import K8S, copy, kinds, render

NEW_RULE = """
  - name: every-ticket
    source: helpdesk
    chat: {agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a, name: Ticket, trigger: {type: draft}}
"""


def texts_of(manifests, folder):
    """The files of the mounted ConfigMaps; listeners, ledger and secrets are those of a test."""
    data = [each["data"] for each in kinds(manifests, "ConfigMap")]
    files = {name: text for each in data for name, text in each.items() if name.endswith(".yaml")}
    assert set(files) == {"rules.yaml", "settings.yaml", "ledger.yaml"}
    here = {name: re.sub(r"\$\{(\w+)\}", r"the-\1-of-a-test", text) for name, text in files.items()}
    here["settings.yaml"] = re.sub(r" :\d+", " 127.0.0.1:0", here["settings.yaml"])
    here["ledger.yaml"] = here["ledger.yaml"].replace("/var/lib/relay", str(folder))
    return here


def bring(mount, version, texts):
    """What the kubelet does: a new folder, and a new link renamed over the old one."""
    (mount / version).mkdir(parents=True)
    for name, text in texts.items():
        (mount / version / name).write_text(text)
        if not (mount / name).is_symlink():
            (mount / name).symlink_to(f"..data/{name}")
    (mount / "..tmp").symlink_to(version)
    (mount / "..tmp").replace(mount / "..data")


async def test_a_rendered_change_of_rules_is_followed_and_one_with_a_fault_is_not(tmp_path):
    mount = tmp_path / "etc"
    texts = texts_of(render(K8S / "embedded"), tmp_path)
    bring(mount, "..1", texts)
    async with living(mount / "rules.yaml", paths=[mount]) as live:
        changed = copy(tmp_path / "k8s", {"base/rules.yaml": ("rules:\n", f"rules:{NEW_RULE}")})
        bring(mount, "..2", texts_of(render(changed / "embedded"), tmp_path))
        assert (await live.until_logged("config.reloaded"))["changes"] == ["added rules[every-ticket]"]
        assert 'relay_chats_total{outcome="failed",rule="every-ticket"} 0.0' in await live.health("/metrics")
        faulty = copy(tmp_path / "faulty", {"base/rules.yaml": ("urgent-ticket", "urgent-ticket\n    whem: true")})
        bring(mount, "..3", texts_of(render(faulty / "embedded"), tmp_path))
        fault = await live.until_logged("config.fault")
        assert "rules.yaml" in fault["at"]
        assert "relay_config_reload_success 0.0" in await live.health("/metrics")
        bring(
            mount, "..4", texts | {"settings.yaml": texts["settings.yaml"].replace("health: 127.0.0.1:0", "health: :0")}
        )
        assert (await live.until_logged("config.held"))["keys"] == ["http.health"]

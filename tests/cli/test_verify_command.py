"""verify: one captured request, judged without a server."""

import hashlib
import hmac
import json

import pytest

from tests.services.process import find_port

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
AT = 1_531_420_618
BODY = '{"type":"event_callback","event_id":"Ev1"}'


def slack(body=BODY, secret=SECRET):
    """The headers of https://docs.slack.dev/authentication/verifying-requests-from-slack/, as options."""
    signature = hmac.new(secret.encode(), f"v0:{AT}:{body}".encode(), hashlib.sha256).hexdigest()
    return ["-H", f"X-Slack-Request-Timestamp: {AT}", "-H", f"X-Slack-Signature: v0={signature}"]


def judge(relay, *args, body=BODY):
    return relay("verify", *args, "-", stdin=body)


def test_the_sender_s_own_request_is_valid(relay, tmp_path):
    (tmp_path / "body.json").write_text(BODY)
    result = relay("verify", "slack", "body.json", "--secret", SECRET, *slack(), "--at", AT)
    assert (result.exit_code, result.stdout) == (0, "valid\n")


def test_either_of_several_secrets_will_do(relay):
    assert judge(relay, "slack", "--secret", "another", "--secret", SECRET, *slack(), "--at", AT).exit_code == 0


def test_a_secret_need_not_be_shown_to_all_who_list_processes(relay, tmp_path, monkeypatch):
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    monkeypatch.setenv("SLACK_SECRET", SECRET)
    for given in (["--secret-file", "secret"], ["--secret-env", "SLACK_SECRET"]):
        assert judge(relay, "slack", *given, *slack(), "--at", AT).exit_code == 0, given
    result = judge(relay, "slack", "--secret-file", "missing", *slack(), "--at", AT)
    assert (result.exit_code, "--secret-file missing cannot be read" in result.stderr) == (1, True)
    result = judge(relay, "slack", "--secret-env", "NOWHERE_SET", *slack(), "--at", AT)
    assert (result.exit_code, "NOWHERE_SET: the variable is not set" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("args", "body", "told"),
    [
        ([*slack(), "--at", AT, "--secret", "another"], BODY, "invalid: signature_wrong: "),
        ([*slack(), "--at", AT, "--secret", SECRET], BODY.replace("Ev1", "Ev2"), "invalid: signature_wrong: "),
        ([*slack(), "--at", AT, "--secret", SECRET], json.dumps(json.loads(BODY)), "re-encoded on the way"),
        ([*slack(), "--at", AT + 3_600, "--secret", SECRET], BODY, "a clock is off by 3600 s"),
        ([*slack()[:2], "--at", AT, "--secret", SECRET], BODY, "invalid: signature_missing: "),
    ],
)
def test_whatever_is_not_is_invalid_with_a_reason_and_a_hint(relay, args, body, told):
    result = judge(relay, "slack", *args, body=body)
    assert result.exit_code == 1
    assert result.stdout.startswith("invalid: ")
    assert told in result.stdout
    assert SECRET not in result.stdout


def test_without_a_time_its_age_is_told_and_not_judged(relay):
    result = judge(relay, "slack", "--secret", SECRET, *slack())
    assert result.exit_code == 0
    assert result.stdout.startswith("valid (when it was signed; it was made ")


def test_as_json(relay):
    args = ("slack", "--secret", SECRET, *slack(), "--at", AT, "--json")
    told = json.loads(judge(relay, *args).stdout)
    assert told == {"valid": True, "scheme": "slack", "reason": None, "message": None, "hint": None}
    refused = judge(relay, *args, body="{}")
    assert refused.exit_code == 1
    told = json.loads(refused.stdout)
    assert (told["valid"], told["reason"]) == (False, "signature_wrong")
    assert told["hint"]


def test_the_scheme_that_a_bare_name_picks_is_named(relay):
    told = json.loads(judge(relay, "hubspot", "--secret", "s", "--json").stdout)
    assert (told["scheme"], told["valid"]) == ("hubspot-v3", False)


def test_the_method_and_the_address_are_signed_where_a_vendor_signs_them(relay):
    url, secret = "https://relay.example/hooks/crm", "a client secret"
    digest = hashlib.sha256(f"{secret}POST{url}{BODY}".encode()).hexdigest()
    headers = ["-H", "X-HubSpot-Signature-Version: v2", "-H", f"X-HubSpot-Signature: {digest}"]
    args = ["hubspot-v2", "--secret", secret, *headers]
    assert judge(relay, *args, "--url", url).exit_code == 0
    assert judge(relay, *args, "--url", url, "--method", "PUT").exit_code == 1
    told = judge(relay, *args, "--url", url.replace("https", "http")).stdout
    assert "it is right for the https address: set http.public_url" in told


def test_a_scheme_s_own_keys_are_set_also_from_a_file(relay, tmp_path):
    (tmp_path / "content").write_text("{{ method }}{{ body }}")
    digest = hmac.new(b"key", f"POST{BODY}".encode(), hashlib.sha512).hexdigest()
    sets = ["--set", "header=X-Sign", "--set", "algorithm=sha512", "--set", "content=@content"]
    assert judge(relay, "hmac", "--secret", "key", *sets, "-H", f"X-Sign: {digest}").exit_code == 0


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["slacks", "--secret", "s"], "did you mean slack?"),
        (["slack"], "secret: is missing"),
        (["slack", "--secret", " "], "secret: is empty"),
        (["slack", "--secret", "s", "--set", "colour=red"], "colour: is not a key of scheme slack"),
        (["slack", "--secret", "s", "--set", "tolerance=soon"], "tolerance: 'soon' is not a duration"),
        (["slack", "--secret", "s", "--set", "tolerance"], "write KEY=VALUE"),
        (["slack", "--secret", "s", "-H", "no colon"], "write 'Name: value'"),
        (["aws-sns", "--set", "cert_pem=@missing.pem"], "missing.pem cannot be read"),
    ],
)
def test_wrong_input_is_one_plain_line(relay, args, told):
    result = judge(relay, *args)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("relay: ")
    assert told in result.stderr


def test_a_certificate_that_cannot_be_fetched_is_told_with_what_to_do(relay, monkeypatch):
    """Nothing leaves this machine: the proxy that is named is not there."""
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{find_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    signed = {
        "Type": "Notification",
        "MessageId": "1",
        "TopicArn": "arn:aws:sns:eu-west-1:1:a",
        "Message": "x",
        "Timestamp": "2026-11-24T00:00:00.000Z",
        "SignatureVersion": "2",
        "Signature": "AAAA",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-00000000000000000000000000005a3b.pem",
    }
    result = judge(relay, "aws-sns", body=json.dumps(signed))
    assert result.exit_code == 1
    assert "give the certificate with --set cert_pem=@FILE" in result.stderr

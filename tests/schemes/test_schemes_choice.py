"""A vendor's bare name: one of several schemes by what a request shows, and never a weaker one by itself."""

import pytest

from relay.schemes import SchemeFault, SchemeSpec, build, names, vendor
from relay.schemes.build import options
from relay.secret import Secret
from tests.schemes.cases import refused, request_of, sample, way

BARE = sorted(name for name in names() if vendor(name).picks)
PICKS = [(name, one) for name in BARE for one in vendor(name).picks]


def make(name, *versions, secret=None, **more):
    chosen = {"versions": versions} if versions else {}
    return build(SchemeSpec(name, (Secret(secret or sample(name)["secret"]),), chosen | more))


def signed_by(version, name):
    """A request of one version, signed with the secret of the bare name's sample."""
    return build(SchemeSpec(version, (Secret(sample(name)["secret"]),), way(version).options)).sign(
        request_of(version), id="e-1"
    )


def told_apart(one, other):
    """Front's apps and channels sign alike: which of them a request is from, no request shows."""
    return {one, other} != {"front-app", "front-channel"}


@pytest.mark.parametrize(("name", "version"), PICKS)
def test_only_what_is_accepted_is_taken(name, version):
    signed, scheme = signed_by(version, name), make(name)
    if version in vendor(name).accepts:
        scheme.verify(signed)
        assert scheme.of(signed).name == version
    elif all(told_apart(version, other) for other in vendor(name).accepts):
        refused(scheme, signed)
        assert scheme.of(signed).name in vendor(name).accepts


@pytest.mark.parametrize(("name", "version"), PICKS)
def test_the_operator_chooses_versions_and_then_only_those_are_taken(name, version):
    scheme = make(name, version)
    for other in vendor(name).picks:
        signed = signed_by(other, name)
        if other == version:
            scheme.verify(signed)
        elif told_apart(version, other):
            refused(scheme, signed)


@pytest.mark.parametrize("name", BARE)
def test_a_choice_of_all_takes_each_and_signs_as_the_strongest(name):
    picks = vendor(name).picks
    scheme = make(name, *reversed(picks))
    for version in picks:
        scheme.verify(signed_by(version, name))
    signed = scheme.sign(request_of(name), id="e-1")
    assert scheme.of(signed).name == picks[0]
    assert refused(make(name, *picks, secret="0" * 64), signed).endswith("_wrong")


@pytest.mark.parametrize("name", BARE)
def test_a_choice_hides_and_lets_through_what_its_schemes_do(name):
    picks, scheme = (
        [make(one, secret=sample(name)["secret"]) for one in vendor(name).picks],
        make(name, *vendor(name).picks),
    )
    for one in picks:
        assert one.secret_headers <= scheme.secret_headers
        assert one.methods <= scheme.methods
        assert one.lists <= scheme.lists
    assert scheme.proves


def test_a_request_of_hubspot_with_two_signatures_is_judged_by_the_stronger():
    """HubSpot signs with v3 and, in parallel, with v1 or v2; a right old one must not cover for a wrong new one."""
    scheme = make("hubspot", "hubspot-v3", "hubspot-v1")
    both = signed_by("hubspot-v1", "hubspot")
    strong = make("hubspot").sign(both, id="e-1")
    scheme.verify(strong)
    spot = way("hubspot-v3").spot
    assert refused(scheme, spot.write(strong, spot.read(strong)[::-1])) == "signature_wrong"


@pytest.mark.parametrize(
    ("name", "given", "key"),
    [
        ("hubspot", {"versions": ("hubspot-v4",)}, "versions"),
        ("hubspot", {"versions": ("v3",)}, "versions"),
        ("hubspot", {"versions": ("hubspot-v1",), "tolerance": 60_000}, "tolerance"),
        ("hubspot", {"colour": "red"}, "colour"),
        ("salesforce", {"organization_id": "00D000000000001"}, "organization_id"),
    ],
)
def test_faults_of_a_choice_name_their_key(name, given, key):
    with pytest.raises(SchemeFault) as caught:
        build(SchemeSpec(name, (Secret("secret"),), given))
    assert caught.value.key == key


@pytest.mark.parametrize("name", BARE)
def test_a_bare_name_takes_the_keys_of_its_versions(name):
    assert options(name) == {"versions"}.union(*(options(version) for version in vendor(name).picks))


@pytest.mark.parametrize("name", BARE)
def test_without_a_secret_a_bare_name_is_refused(name):
    for secrets in ((), ("",), (" ",)):
        with pytest.raises(SchemeFault) as caught:
            build(SchemeSpec(name, tuple(map(Secret, secrets))))
        assert caught.value.key == "secret"

"""The form of a vendor's entry, the YAML in `vendors/`: what a stranger checks against the vendor's document."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from relay.units import duration

CATEGORIES: Final = (
    "crm", "helpdesk", "development", "communication", "commerce", "marketing", "productivity", "standard", "generic",
)  # fmt: skip
Algorithm = Literal[
    "hmac-sha1", "hmac-sha256", "hmac-sha512",
    "sha256",                     # plain SHA-256 with the secret in front (HubSpot v1, v2)
    "ed25519", "ecdsa-p256-sha256", "rsa-sha1", "rsa-sha256",
]  # fmt: skip
Key = Literal["text", "hex", "base64", "whsec", "whpk", "nfkd"]
Milliseconds = Annotated[int, BeforeValidator(lambda value: duration(value) if isinstance(value, str) else value)]
Body = Literal["any", "json", "form", "multipart", "xml"]
Replay = Literal["refuse", "type", "allow"]
Several = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Time(_Form):
    """The time of signing: a phrase (`at`), or the part of the signature's header that begins with `prefix`.

    With `first` it is the first part of the signature's header whatever it begins with (Recurly).
    """

    at: str | None = None
    header: str | None = None
    prefix: str | None = None
    first: bool = False
    unit: Literal["seconds", "milliseconds", "rfc3339", "http"] = "seconds"


class Certificate(_Form):
    """A certificate that the request names: `url` says where, `host` and `path` are what may be fetched, `subject` for
    whom it must be issued (regexes that match in full)."""

    url: str
    host: str
    path: str
    subject: str


class Signature(_Form):
    """A signature over a composed string.

    `header` or `at` (a phrase) holds `prefix` and the signature, several of them where there is a `separator`; with
    `numbered` the header ends in -1, -2, ... `only` are phrases and what they must be (`*`: there) for this proof to
    be the one that counts, `equal` pairs of phrases that must be the same. `each` judges every item of that list.
    `secrets` limits it to secrets that begin so. `ports` also tries the URL without its port, or with the default one.
    `id` is the event's id where just this proof signs it. `shape` are phrases and the regular expressions that each
    must match in full, what is missing being empty: parts of `content` that could hold what separates it from the next
    part.
    """

    by: Literal["signature"] = "signature"
    header: str | None = None
    at: str | None = None
    numbered: bool = False
    algorithm: Algorithm = "hmac-sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    separator: str | None = None
    content: str = "{{ body }}"
    key: Key = "text"
    timestamp: Time | None = None
    tolerance: Milliseconds = 300_000
    certificate: Certificate | None = None
    only: dict[str, str] = {}
    equal: dict[str, str] = {}
    each: str | None = None
    secrets: str | None = None
    ports: bool = False
    id: str | None = None
    shape: dict[str, str] = {}


class Token(_Form):
    """A secret shown as it is: in `header` (after the word `lead`, if any), in the parameter `query` of the URL, or at
    the path `at` in the body, whose `*` means every item. Where `header` is an option, the operator may name another.
    """

    by: Literal["token"]
    header: str | None = None
    lead: str = ""
    query: str | None = None
    at: str | None = None
    secrets: str | None = None


class Login(_Form):
    """As the operator chose at the vendor's: HTTP Basic (`username`, or a secret `user:password`), a token in the
    header that `header` names, else `Authorization: Bearer`. `only` limits the choice."""

    by: Literal["login"]
    only: Literal["basic", "token", "any"] = "any"


class Jwt(_Form):
    """A JSON Web Token in a header, after the word `lead` or bare.

    `claims` are phrases that claims must equal; a name with `?` must be there just when the body is not empty.
    """

    by: Literal["jwt"]
    header: str
    lead: str = "Bearer"
    algorithm: Literal["HS256", "RS256"] = "HS256"
    required: tuple[str, ...] = ()
    claims: dict[str, str] = {}
    issuer: str | None = None


class Nothing(_Form):
    """Nothing is signed; a secret, where there is one, must stand in the URL as `?<query>=`."""

    by: Literal["nothing"]
    query: str = "token"


Proof = Annotated[Signature | Token | Login | Jwt | Nothing, Field(discriminator="by")]


class Name(_Form):
    """An id: the phrase `at`, which counts where each phrase of `when` is what it must be in the event itself (as in
    `Handshake`): what only the vendor's own envelope has, where an operator may send a body of their own. `hash` says
    that it is one of the body, so that two equal bodies have one id."""

    at: str
    when: dict[str, str] = {}
    hash: bool = False


Names = Annotated[
    tuple[Name, ...],
    BeforeValidator(
        lambda value: tuple(
            {"at": one} if isinstance(one, str) else one
            for one in (value if isinstance(value, list | tuple) else [value])
        )
    ),
]


class Fields(_Form):
    """Where an event stands in a body, and its fields in an event (phrases; of several the first that is there).

    `each` is the list of a batch, or several (`data.entry.*.changes`: the changes of every entry); `carry` are the
    keys of what is around an item that the item gets. Where no id is found it is
    the hash of the canonical body, the paths in `without` left out; with `hash: false` there is none, because two
    events of this vendor may have the same body.
    """

    each: Several = ()
    carry: tuple[str, ...] = ()
    id: Names = ()
    type: Several = ()
    subject: Several = ()
    time: Several = ()
    without: tuple[str, ...] = ()
    hash: bool = True


class Answer(_Form):
    """What a vendor is answered; `text` and the values of `json` and `headers` are phrases."""

    status: int = 200
    type: str = "application/json"
    text: str | None = None
    json_: dict[str, str | int | bool] | None = Field(default=None, alias="json")
    headers: dict[str, str] = {}


class Handshake(_Form):
    """A request that proves that somebody is at home, and is no event.

    `when` are phrases and what they must be (`*`: there, `!`: not there, `a|b*`: a, or what begins with b). `proof`
    says whether it is signed as events are. `equal` are pairs of phrases that must be the same, else 403. `learn` is
    the phrase of a secret to keep, `confirm` that of a URL to fetch, on a host that matches `host`.
    """

    name: str
    method: Literal["GET", "HEAD", "OPTIONS", "POST"] = "POST"
    when: dict[str, str] = {}
    proof: bool = True
    equal: dict[str, str] = {}
    answer: Answer = Answer()
    learn: str | None = None
    confirm: str | None = None
    host: str = ""


class Option(_Form):
    """A key of the source beside its secret, as the operator reads of it."""

    says: str
    required: bool = False


class DeliveryFacts(_Form):
    """What the vendor does: how long it waits for an answer, how it tries again, what comes at once.

    `within` is for how long it tries again: as long the hash of a body stands in for an id.
    """

    deadline: Milliseconds | None = None
    retries: str | None = None
    within: Milliseconds = 86_400_000
    batch: str | None = None


class Vendor(_Form):
    """One scheme.

    `picks` makes it a choice among others by their headers, the strongest first; `accepts` are those that it takes
    unless the operator names others under `versions`. `equal` are pairs of phrases that must be the same in every
    request, where the second is there. `lists` are XML elements that are lists however many come; `unfold` form fields
    that hold JSON, `unwrap` the one of them that is the whole event. `cut` are credentials in the body (paths), `hide`
    further headers with credentials, `mark` headers that `relay send` adds, with the event's `id` or `type`.
    `secret_required: false`: without a secret nothing is proved, and `relay check` warns. `learns`: the secret comes
    with a handshake and need not be configured.

    `bodies` are the forms that its bodies have: which of them one has shows in the body itself, so that no header,
    which nothing signs, gives it another reading; `any` goes by the content type. `cloudevents`: its events may be
    CloudEvents. `replay` says what a body that is sent again under another id is: a duplicate (`refuse`), another event
    under another type (`type`), another event (`allow`); it matters where the id is not signed. `twins` are the types
    (a regex) whose events may have the same body where it is `type`. `own_body`: the operator writes its bodies, so
    that two events may have the same one.
    """

    name: str
    category: Literal[CATEGORIES]  # type: ignore[valid-type] # the one list, also of `relay sources`
    secret: str | None = None
    secret_required: bool = True
    learns: bool = False
    options: dict[str, Option] = {}
    picks: tuple[str, ...] = ()
    accepts: tuple[str, ...] = ()
    proof: tuple[Proof, ...] = ()
    event: Fields = Fields()
    handshakes: tuple[Handshake, ...] = ()
    answer: Answer | None = None
    lists: frozenset[str] = frozenset()
    unfold: tuple[str, ...] = ()
    unwrap: str | None = None
    bodies: tuple[Body, ...] = ("json",)
    cloudevents: bool = False
    replay: Replay = "refuse"
    twins: str = ".*"
    own_body: bool = False
    equal: dict[str, str] = {}
    cut: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()
    mark: dict[str, str] = {}
    delivery: DeliveryFacts = DeliveryFacts()
    setup: tuple[str, ...]
    notes: tuple[str, ...] = ()
    facts: tuple[str, ...]

    @property
    def identifies(self) -> bool:
        """Whether an event gets an id: the sender's own, or the hash of its body."""
        own = bool(self.picks) or bool(self.event.id)
        return own or (self.event.hash and self.category != "generic")

"""Who may do what on the ops listener."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from relay.model import LOCAL, TOKEN
from relay.secret import Secret


class Role(IntEnum):
    """What a token allows; each role allows what the former ones do."""

    READ = 1
    OPERATE = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """The role as it is written in the configuration."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, by name, and what that allows."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """A caller and the token that proves it."""

    caller: Caller
    token: Secret


ANYBODY: Final = Caller(LOCAL, Role.ADMIN)
"""Whoever asks from this machine where no token is configured."""


def make_holders(token: Secret | None, tokens: Mapping[str, tuple[Secret, str]]) -> tuple[TokenHolder, ...]:
    """The holders of `http.token`, who is an administrator, and of `http.tokens`: by name the token and the role."""
    first = () if token is None else (TokenHolder(Caller(TOKEN, Role.ADMIN), token),)
    named = (TokenHolder(Caller(name, Role[role.upper()]), secret) for name, (secret, role) in tokens.items())
    return (*first, *named)


def find_holder(holders: tuple[TokenHolder, ...], sent_token: str) -> TokenHolder | None:
    """Whose token it is. Every token is compared, in constant time."""
    sent = sent_token.encode(errors="surrogateescape")
    found = None
    for holder in holders:
        if hmac.compare_digest(sent, holder.token.reveal().encode()):
            found = holder
    return found


def find_caller(holders: tuple[TokenHolder, ...], sent_token: str) -> Caller | None:
    """Who has this token."""
    holder = find_holder(holders, sent_token)
    return None if holder is None else holder.caller

"""Translates the client library's errors into types by what the caller does next. Removes URLs' credentials."""

import asyncio
import re
import ssl
from collections.abc import Awaitable
from typing import Final, TypeVar

from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    AMQPChannelError,
    AuthenticationError,
    ChannelNotFoundEntity,
    DeliveryError,
    ProbableAuthenticationError,
    PublishError,
)
from aiormq.exceptions import ChannelAccessRefused

from relay.errors import Retryable
from relay.trust import distrust, unwelcome

T = TypeVar("T")

_USERINFO: Final = re.compile(r"//[^/\s]*@")


class BrokerFault(Retryable):
    """RabbitMQ refused the operation."""


class MissingEntity(BrokerFault):
    """The queue or exchange does not exist."""


class Forbidden(BrokerFault):
    """The user lacks the permission: a person must grant it or do the operation."""


class Hidden(Forbidden):
    """The user may not check whether the entity exists (RabbitMQ 4.3 requires some permission on it)."""


class Unroutable(BrokerFault):
    """No bound queue accepts the message."""


class Unwritable(BrokerFault):
    """The client library cannot write the message. Another one may pass."""


class Away(BrokerFault):
    """RabbitMQ is unreachable or does not answer. It is not known whether a message got through."""


class HungUp(Away):
    """RabbitMQ closed the connection without giving a reason."""


async def ask(call: Awaitable[T], seconds: float) -> T:
    """Await a call of the client library for at most `seconds`. Raises only BrokerFault and its subclasses.

    When a connection ends, the client library cancels the calls that wait for it. That becomes Away; a cancellation of
    the calling task passes through.
    """
    try:
        async with asyncio.timeout(seconds):
            return await call
    except PublishError as error:
        raise Unroutable(explain(error)) from None
    except ChannelNotFoundEntity as error:
        raise MissingEntity(explain(error)) from None
    except ChannelAccessRefused as error:
        raise Forbidden(explain(error)) from None
    except (AMQPChannelError, DeliveryError) as error:
        raise BrokerFault(explain(error)) from None
    except TimeoutError:
        raise Away(f"RabbitMQ did not answer within {seconds:g} s") from None
    except CONNECTION_EXCEPTIONS as error:
        cut = isinstance(error.__cause__, ConnectionResetError | asyncio.IncompleteReadError)
        raise (HungUp if cut else Away)(explain(error)) from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise Away("the connection to RabbitMQ was lost") from None


def explain(error: BaseException) -> str:
    """The error as text for people, without credentials."""
    if tls_reason := _explain_tls(error if isinstance(error, ssl.SSLError) else error.__cause__):
        return tls_reason
    if isinstance(error, ProbableAuthenticationError):
        if "mechanism EXTERNAL" in str(error):
            return (
                "RabbitMQ has no user of this certificate's name (by ssl_cert_login_from), or no authority vouches for"
                " it: make the user, or check broker.cert_file"
            )
        return "RabbitMQ refused the user name or password: check broker.url and broker.password"
    if isinstance(error, AuthenticationError):
        return _explain_mechanisms(error)
    if isinstance(error, DeliveryError) and not isinstance(error, PublishError):
        return "RabbitMQ could not take the message (basic.nack)"
    parts = [str(part) for part in error.args if isinstance(part, str | int) and part != 0]
    return _USERINFO.sub("//", " ".join(parts)) or type(error).__name__


def _explain_tls(error: BaseException | None) -> str | None:
    if not isinstance(error, ssl.SSLError):
        return None
    if error.reason == "WRONG_VERSION_NUMBER":
        return "what answers there speaks no TLS: write the port for amqps into broker.url"
    reason = (error.reason or "no reason given").replace("_", " ").lower()
    untrusted = distrust(error, ca_file="broker.ca_file", url="broker.url")
    return untrusted or unwelcome(error, cert_file="broker.cert_file") or f"TLS failed ({reason})"


def _explain_mechanisms(error: AuthenticationError) -> str:
    offered = error.args[0] if error.args else ""
    return (
        f"RabbitMQ does not offer this way to log in, but {offered}: without a user in broker.url a client certificate"
        " is the login (EXTERNAL), which takes the plugin rabbitmq_auth_mechanism_ssl and EXTERNAL among"
        " auth_mechanisms; with a user it is PLAIN"
    )

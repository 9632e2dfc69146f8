# SPDX-License-Identifier: Apache-2.0
"""Who may speak to the rating app: this machine's browser with a token, and no other site's page."""

from __future__ import annotations

import hmac
import secrets
import threading
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
LARGEST_BODY = 256 * 1024
POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass
class Visitor:
    """A browser that came with a token; ``reader`` is None until they have said who they are."""

    reader: int | None


class Door:
    """Tokens that open once, and the cookies that they were swapped for.

    Parameters
    ----------
    name : str
        Of the cookie; another one for each running app, since browsers keep cookies of all ports of a host together.
    """

    def __init__(self, name: str) -> None:
        self.cookie = name
        self._lock = threading.Lock()
        self._tokens: dict[str, int | None] = {}
        self._visitors: dict[str, Visitor] = {}

    def new_token(self, reader: int | None = None) -> str:
        """A token of 128 bits that lets one browser in, as this reader where given."""
        token = secrets.token_hex(16)
        with self._lock:
            self._tokens[token] = reader
        return token

    def swap(self, token: str) -> str | None:
        """The cookie's value for a token that has not been used; None for any other."""
        with self._lock:
            match = next((known for known in self._tokens if _same(known, token)), None)
            if match is None:
                return None
            value = secrets.token_hex(16)
            self._visitors[value] = Visitor(self._tokens.pop(match))
            return value

    def visitor(self, value: str | None) -> Visitor | None:
        """Who comes with this cookie."""
        if value is None:
            return None
        with self._lock:
            return next((one for known, one in self._visitors.items() if _same(known, value)), None)


def _same(known: str, told: str) -> bool:
    """Whether two texts are equal, in a time that doesn't tell how much of them is."""
    return hmac.compare_digest(known.encode(), told.encode("utf-8", "replace"))


class Guard:
    """Refuses foreign hosts and origins and large bodies, and puts the security headers on every response."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...] = LOOPBACK_NAMES) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = refuse(scope["method"], Headers(scope=scope), self.hosts)
        app = self.app if refusal is None else PlainTextResponse(refusal, status_code=403)
        await app(scope, receive, send_guarded)


def refuse(method: str, headers: Headers, hosts: tuple[str, ...] = LOOPBACK_NAMES) -> str | None:
    """Why a request is refused, or None.

    The host must be this machine under any port, since a forwarded port may have another number; a request that changes
    something must come from a page of the same host and port.
    """
    host = headers.get("host", "")
    if _name(host) not in hosts:
        return "This app answers only to this machine's own address."
    origin = headers.get("origin")
    if origin is not None and not _same_place(origin, host):
        return "The request came from another site's page."
    if method not in ("GET", "HEAD"):
        if origin is None:
            return "The request doesn't say which page it came from."
        size = headers.get("content-length", "")
        if not size.isdigit() or int(size) > LARGEST_BODY:
            return "The request is too large."
    return None


def _same_place(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:  # no address at all
        return False
    return parts.scheme == "http" and parts.netloc == host


def _name(host: str) -> str:
    return host.rsplit(":", 1)[0] if host.rsplit(":", 1)[-1].isdigit() else host

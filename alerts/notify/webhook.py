"""Webhooks: an HTTPS POST of JSON to an address that was judged; signed, its key the same at every repeat."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from alerts.notify.deadline import deadline
from alerts.notify.errors import DeliveryError
from alerts.notify.signing import signed_headers, target_secret
from alerts.notify.targets import Endpoint, Gate, Target

#: Answers that say: never again (410), against those that another attempt may turn.
_FOR_GOOD = (410,)
_LONGEST_ANSWER = 64 * 1024


@dataclass(frozen=True, slots=True)
class NamedTarget:
    """A webhook that settings name: its URL, and the secret that calls are signed with (None: one of its own is
    derived).
    """

    url: str
    secret: bytes | None = None


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """named: targets by the name that contacts.csv uses. secret: what targets without one derive theirs from."""

    secret: bytes
    gate: Gate = field(default_factory=Gate)
    named: Mapping[str, NamedTarget] = field(default_factory=dict)
    ca_file: str | None = None
    timeout_s: float = 20.0

    def resolve(self, address: str) -> tuple[str, bytes]:
        """URL and signing secret of a contact's address. Raises DeliveryError where settings lack the name."""
        if "://" in address:
            return address, target_secret(self.secret, address)
        named = self.named.get(address)
        if named is None:
            raise DeliveryError(f"NENGLIU_WEBHOOKS has no {address!r}")
        return named.url, named.secret or target_secret(self.secret, address)


class Webhooks:
    """Makes calls; for several threads at once."""

    def __init__(self, options: WebhookOptions) -> None:
        self.options = options
        self._context = ssl.create_default_context(cafile=options.ca_file)

    def send(self, address: str, key: str, body: bytes) -> None:
        """Call a contact's address; returns when the other side has answered 2xx. Raises DeliveryError."""
        url, secret = self.options.resolve(address)
        target = self.options.gate.target(url)
        endpoints = self.options.gate.endpoints(target)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "nengliu",
            "Connection": "close",
            **signed_headers(secret, key, int(time.time()), body),
        }
        status, retry_after = self._post(target, endpoints, headers, body)
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            raise DeliveryError(
                f"{target.host} answered {status}: redirects are not followed; give the address itself"
            )
        raise DeliveryError(
            f"{target.host} answered {status}",
            for_good=status in _FOR_GOOD,
            after_s=_seconds(retry_after) if status in (429, 503) else None,
        )

    def _post(
        self, target: Target, endpoints: list[Endpoint], headers: Mapping[str, str], body: bytes
    ) -> tuple[int, str | None]:
        connection = _Connection(target, endpoints, self.options.timeout_s, self._context)
        try:
            with deadline(lambda: connection.wire, 3 * self.options.timeout_s):
                connection.request("POST", target.path, body, {"Host": target.authority, **headers})
                answer = connection.getresponse()
                answer.read(_LONGEST_ANSWER)
                return answer.status, answer.getheader("Retry-After")
        except (http.client.HTTPException, OSError, ValueError) as e:
            raise DeliveryError(f"{target.host}: {e or type(e).__name__}", route_is_down=True) from e
        finally:
            connection.close()


class _Connection(http.client.HTTPConnection):
    """To addresses that were judged, and in TLS to the name that they were judged for."""

    def __init__(
        self, target: Target, endpoints: list[Endpoint], timeout_s: float, context: ssl.SSLContext
    ) -> None:
        super().__init__(target.host, target.port, timeout=timeout_s)
        self.wire: socket.socket | None = None
        self._target = target
        self._endpoints = endpoints
        self._timeout_s = timeout_s
        self._context = context

    def connect(self) -> None:
        """Connect to the first endpoint that answers. Raises OSError."""
        problem: OSError | None = None
        for endpoint in self._endpoints:
            try:
                self.wire = socket.create_connection((endpoint.address, endpoint.port), self._timeout_s)
                break
            except OSError as e:
                problem = e
        if self.wire is None:
            raise problem or OSError("no address")
        if self._target.scheme == "https":
            self.wire = self._context.wrap_socket(self.wire, server_hostname=self._target.host)
        self.sock = self.wire

    def close(self) -> None:
        """Give it up, also where TLS never came about."""
        super().close()
        if self.wire is not None:
            self.wire.close()


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, is left to our own pauses."""
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None

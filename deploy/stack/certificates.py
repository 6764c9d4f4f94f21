"""The local stack's own authority: made once, it certifies the stack's Mosquitto and gateways that log in so.

Everything lies in `tls` of the state directory. The authority and what it issues do not expire; who is let in is
decided by the broker's users (docs/decisions/tls.md).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from deploy.settings import Settings
from deploy.stack.state import StackState, write_private
from metering.errors import SettingError

_ALWAYS = ("localhost", "127.0.0.1", "::1")
_EVERY_ADDRESS = ("", "0.0.0.0", "::")
#: The name that a gateway's certificate is issued for, as it must have one: no host has it (RFC 2606), so with such a
#: certificate nobody can pass for the broker, whatever the gateway is called.
_NO_HOST = "gateway.invalid"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key, PEM."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority kept in `folder`."""

    folder: Path

    @property
    def ca_file(self) -> Path:
        """Its own certificate, PEM: what clients are to trust."""
        return self.folder / "ca.pem"

    @property
    def server_file(self) -> Path:
        """Mosquitto's certificate, PEM."""
        return self.folder / "server.pem"

    @property
    def server_key_file(self) -> Path:
        """The private key of Mosquitto's certificate, PEM."""
        return self.folder / "server.key"

    def prepare(self, names: tuple[str, ...]) -> None:
        """Make the authority the first time, and Mosquitto's certificate for host `names` when they change."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if not self.ca_file.is_file():
            self._make()
        told = self.folder / "server.names"
        if told.is_file() and json.loads(told.read_text()) == list(names):
            return
        made = self._issue(*names)
        write_private(self.server_key_file, made.key)
        write_private(self.server_file, made.certificate)
        write_private(told, json.dumps(list(names)))

    def for_gateway(self, identity: str) -> Certificate:
        """A certificate that logs in as the broker's user `identity` (at most 64 characters)."""
        return self._issue(_NO_HOST, common_name=identity)

    def _make(self) -> None:
        import trustme

        made = trustme.CA(organization_name="nengliu", organization_unit_name="local stack")
        write_private(self.folder / "ca.key", made.private_key_pem.bytes().decode())
        write_private(self.ca_file, made.cert_pem.bytes().decode())

    def _issue(self, *names: str, common_name: str | None = None) -> Certificate:
        import trustme  # here: commands that only look at what was issued need not load its cryptography

        ca = trustme.CA.from_pem(self.ca_file.read_bytes(), (self.folder / "ca.key").read_bytes())
        try:
            made = ca.issue_cert(*names, common_name=common_name, organization_name="nengliu")
        except ValueError as e:  # idna's errors are ValueErrors too
            raise SettingError(f"NENGLIU_MQTT_TLS_NAMES or NENGLIU_HOST: not names of a host: {e}") from e
        chain = "".join(pem.bytes().decode() for pem in made.cert_chain_pems)
        return Certificate(chain, made.private_key_pem.bytes().decode())


def server_names(settings: Settings) -> tuple[str, ...]:
    """The host names and addresses that Mosquitto's certificate is for."""
    names = [*_ALWAYS, *settings.mqtt_tls_names]
    if settings.host not in _EVERY_ADDRESS:
        names.append(settings.host)
    return tuple(dict.fromkeys(names))


def decide_tls(settings: Settings, state: StackState, wanted: bool | None) -> None:
    """Put TLS into force or out of it, as `wanted`; None leaves it as the state directory says.

    Raises SettingError where the broker is not the local stack's.
    """
    if settings.mqtt_url is not None:
        if wanted:
            raise SettingError(
                "--tls is for the local stack's Mosquitto, and NENGLIU_MQTT_URL names another broker: "
                "for TLS to that one write mqtts://"
            )
        return
    if wanted is not None:
        state.set_tls(wanted)
    if state.tls_in_force:
        Authority(state.tls).prepare(server_names(settings))

"""TLS to a broker: contexts of the ssl module, from PEM files that settings name or that the local stack has."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from metering.errors import SettingError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of one connection. `prefix`: what the names of their settings begin with, such as NENGLIU_MQTT."""

    prefix: str
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def given(self) -> list[str]:
        """Names of the settings that are set."""
        named = {"CA": self.ca, "CERT": self.certificate, "KEY": self.key}
        return [self._name(kind) for kind, path in named.items() if path is not None]

    def context(self) -> ssl.SSLContext:
        """How a client connects with these files: it trusts `ca`, without it what the system trusts, and shows
        `certificate`. The broker's certificate and host name are always checked.

        Raises SettingError naming the setting of a file that cannot be used.
        """
        context = trusting(self.ca, self._name("CA"))
        if self.certificate is not None:
            self._show(context, self.certificate)
        elif self.key is not None:
            raise SettingError(f"{self._name('KEY')} wants {self._name('CERT')}, the certificate of that key")
        return context

    def _show(self, context: ssl.SSLContext, certificate: Path) -> None:
        _require_readable(certificate, self._name("CERT"))
        if self.key is not None:
            _require_readable(self.key, self._name("KEY"))
        names = self._name("CERT") if self.key is None else f"{self._name('CERT')} and {self._name('KEY')}"
        paths = f"{certificate}" if self.key is None else f"{certificate}, {self.key}"

        def no_password() -> NoReturn:
            raise SettingError(f"{names} ({paths}): the key wants a password; give a key without one")

        try:
            context.load_cert_chain(certificate, self.key, no_password)
        except ssl.SSLError as e:
            fault = (
                "the key does not belong to the certificate"
                if e.reason == "KEY_VALUES_MISMATCH"
                else f"want a certificate and its key in PEM format ({e.reason or e})"
            )
            raise SettingError(f"{names} ({paths}): {fault}") from e

    def _name(self, kind: str) -> str:
        return f"{self.prefix}_{kind}_FILE"


def trusting(ca: Path | None, name: str) -> ssl.SSLContext:
    """A client's context that trusts the authority in `ca`, without it those of the system. TLS 1.2 or newer.

    Only the names that a certificate is issued for count, not its common name: that is a gateway's to choose.
    Raises SettingError beginning with `name` where the file cannot be used.
    """
    if ca is not None:
        _require_readable(ca, name)
    try:
        context = ssl.create_default_context(cafile=ca)
    except ssl.SSLError as e:
        raise SettingError(
            f"{name} ({ca}): want certificates of authorities in PEM format ({e.reason or e})"
        ) from e
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    return context


def _require_readable(path: Path, name: str) -> None:
    try:
        path.open("rb").close()
    except OSError as e:
        raise SettingError(f"{name} ({path}): {e.strerror}") from e

"""Client certificates of gateways, issued by the local stack's authority and written where they are asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.gateways import check_names, new_identity
from deploy.settings import Settings
from deploy.stack.certificates import Authority, Certificate
from deploy.stack.state import StackState, write_private
from metering.errors import SettingError


@dataclass(frozen=True, slots=True)
class GatewayFiles:
    """Where a gateway's PEM files are: its certificate, its key, and the authority that it is to trust."""

    certificate: Path
    key: Path
    ca: Path


@dataclass(frozen=True, slots=True)
class Certified:
    """Certificates that are issued but not written yet, by gateway; `identities`: the broker's user of each."""

    folder: Path
    ca: str
    identities: Mapping[str, str]
    certificates: Mapping[str, Certificate]

    def write(self) -> dict[str, GatewayFiles]:
        """Write them, readable by the caller only; where, by gateway. Earlier ones of these gateways are replaced."""
        ca_file = self.folder / "ca.pem"
        write_private(ca_file, self.ca)
        written = {}
        for gateway, issued in self.certificates.items():
            files = GatewayFiles(
                self.folder / f"{gateway}.cert.pem", self.folder / f"{gateway}.key.pem", ca_file
            )
            write_private(files.key, issued.key)
            write_private(files.certificate, issued.certificate)
            written[gateway] = files
        return written


def certify(settings: Settings, names: Sequence[str], folder: Path) -> Certified:
    """Issue a certificate for each gateway, to be written to `folder`, which is made.

    Raises SettingError where there is no authority to issue them, or the folder cannot be written.
    """
    if settings.mqtt_url is not None or settings.mqtt_admin_url is not None:
        raise SettingError(
            "--certificates are issued by the local stack's authority, and NENGLIU_MQTT_URL or NENGLIU_MQTT_ADMIN_URL "
            "names another broker: have that one's authority issue them"
        )
    state = StackState.of(settings)
    if not state.tls_in_force:
        raise SettingError("--certificates want TLS, which is not in force: `nengliu up --tls`")
    check_names(names)
    _make(folder)
    authority = Authority(state.tls)
    identities = {name: new_identity(name) for name in names}
    issued = {name: authority.for_gateway(identity) for name, identity in identities.items()}
    return Certified(folder, authority.ca_file.read_text(), identities, issued)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise SettingError(f"--certificates {folder}: {e.strerror}") from e
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingError(f"--certificates {folder}: may not be written")

"""TLS: wrong files stop the start by the name of their setting, certificates prove what they should and no more."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from collectors.tls_errors import closed_early, explained
from deploy.clients import mqtt_connection, parse_mqtt_url
from deploy.gateway_certificates import certify
from deploy.gateways import GatewayNameError, new_identity
from deploy.services.edge import edge_endpoint
from deploy.settings import Settings
from deploy.stack.certificates import Authority, decide_tls, server_names
from deploy.stack.state import StackState
from deploy.tls import TlsFiles, trusting
from metering.errors import SettingError


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "tls")
    made.prepare(("localhost", "127.0.0.1"))
    return made


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> None:
    """A TLS handshake in memory; raises what the client or the server raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = list(ends)
    while waiting:
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)


def serving(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def serving_as(leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context


class TestSettings:
    """A wrong setting stops the start and is named."""

    def pem(self, tmp_path: Path) -> dict[str, Path]:
        ca = trustme.CA()
        one, other = ca.issue_cert("gateway.invalid"), ca.issue_cert("gateway.invalid")
        files = {
            "ca": ca.cert_pem,
            "cert": one.cert_chain_pems[0],
            "key": one.private_key_pem,
            "other": other.private_key_pem,
            "both": one.private_key_and_cert_chain_pem,
        }
        for name, pem in files.items():
            pem.write_to_path(tmp_path / name)
        (tmp_path / "junk").write_text("no PEM")
        return {name: tmp_path / name for name in [*files, "junk", "missing"]}

    @pytest.mark.parametrize(
        ("given", "named"),
        [
            ({"ca": "missing"}, "NENGLIU_MQTT_CA_FILE.*No such file"),
            ({"ca": "junk"}, "NENGLIU_MQTT_CA_FILE"),
            ({"cert": "missing", "key": "key"}, "NENGLIU_MQTT_CERT_FILE.*No such file"),
            ({"cert": "cert", "key": "missing"}, "NENGLIU_MQTT_KEY_FILE.*No such file"),
            (
                {"cert": "cert", "key": "other"},
                "NENGLIU_MQTT_CERT_FILE and NENGLIU_MQTT_KEY_FILE.*not belong",
            ),
            ({"cert": "cert"}, "NENGLIU_MQTT_CERT_FILE"),
            ({"cert": "junk", "key": "key"}, "NENGLIU_MQTT_CERT_FILE and NENGLIU_MQTT_KEY_FILE"),
            ({"key": "key"}, "NENGLIU_MQTT_KEY_FILE wants NENGLIU_MQTT_CERT_FILE"),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("prefix", ["", "edge_"])
    def test_files_that_cannot_be_used(
        self, given: dict[str, str], named: str, prefix: str, tmp_path: Path
    ) -> None:
        pem = self.pem(tmp_path)
        settings = Settings(
            **{f"{prefix}mqtt_url": "mqtts://g:p@h"},
            **{f"{prefix}mqtt_{kind}_file": pem[name] for kind, name in given.items()},
        )
        with pytest.raises(SettingError, match=named.replace("MQTT", f"{prefix.upper()}MQTT")):
            edge_endpoint(settings) if prefix else mqtt_connection(settings, "bridge")

    def test_a_key_that_wants_a_password_is_refused_and_nobody_is_asked_for_it(self, tmp_path: Path) -> None:
        from cryptography.hazmat.primitives import serialization as pem

        files = self.pem(tmp_path)
        key = pem.load_pem_private_key(files["key"].read_bytes(), None)
        locked = tmp_path / "locked"
        locked.write_bytes(
            key.private_bytes(
                pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.BestAvailableEncryption(b"secret-word")
            )
        )
        with pytest.raises(SettingError, match=r"NENGLIU_MQTT_KEY_FILE.*password"):
            TlsFiles("NENGLIU_MQTT", None, files["cert"], locked).context()

    def test_a_certificate_and_its_key_may_be_one_file(self, tmp_path: Path) -> None:
        assert TlsFiles("NENGLIU_MQTT", None, self.pem(tmp_path)["both"]).context().check_hostname

    def test_files_for_tls_do_not_go_with_a_plain_url(self, tmp_path: Path) -> None:
        ca = self.pem(tmp_path)["ca"]
        with pytest.raises(SettingError, match=r"NENGLIU_MQTT_CA_FILE.*NENGLIU_MQTT_URL says mqtt://"):
            mqtt_connection(Settings(mqtt_url="mqtt://u:p@h", mqtt_ca_file=ca), "bridge")
        with pytest.raises(
            SettingError, match=r"NENGLIU_EDGE_MQTT_CA_FILE.*NENGLIU_EDGE_MQTT_URL says mqtt://"
        ):
            edge_endpoint(Settings(edge_mqtt_url="mqtt://u:p@h", edge_mqtt_ca_file=ca))

    def test_files_for_an_existing_broker_do_not_go_with_the_local_one(self, tmp_path: Path) -> None:
        settings = Settings(state_dir=tmp_path, mqtt_ca_file=self.pem(tmp_path)["ca"])
        with pytest.raises(SettingError, match=r"NENGLIU_MQTT_CA_FILE.*NENGLIU_MQTT_URL"):
            mqtt_connection(settings, "bridge")

    def test_mqtts_has_its_own_port_and_always_checks_the_broker(self) -> None:
        endpoint = parse_mqtt_url("mqtts://u:p@h")
        assert endpoint.port == 8883
        assert endpoint.tls is not None
        assert endpoint.tls.check_hostname
        assert endpoint.tls.verify_mode is ssl.CERT_REQUIRED
        assert parse_mqtt_url("mqtt://u:p@h").tls is None

    def test_tls_of_the_local_stack_is_refused_for_another_broker(self, tmp_path: Path) -> None:
        settings = Settings(state_dir=tmp_path, mqtt_url="mqtt://u:p@h")
        with pytest.raises(SettingError, match=r"--tls.*NENGLIU_MQTT_URL.*mqtts://"):
            decide_tls(settings, StackState.of(settings), True)

    def test_gateways_of_another_broker_get_no_certificates_of_ours(self, tmp_path: Path) -> None:
        settings = Settings(state_dir=tmp_path, mqtt_admin_url="mqtts://admin:p@h")
        with pytest.raises(SettingError, match=r"--certificates.*NENGLIU_MQTT_ADMIN_URL"):
            certify(settings, ["g"], tmp_path / "certificates")

    def test_certificates_want_tls(self, tmp_path: Path) -> None:
        with pytest.raises(SettingError, match="nengliu up --tls"):
            certify(Settings(state_dir=tmp_path), ["g"], tmp_path / "certificates")
        assert not (tmp_path / "certificates").exists()


class TestAuthority:
    """The stack's own authority."""

    def test_it_is_made_once_and_is_nobody_elses_to_read(self, authority: Authority) -> None:
        before = {p.name: p.read_bytes() for p in authority.folder.iterdir()}
        authority.prepare(("localhost", "127.0.0.1"))
        assert {p.name: p.read_bytes() for p in authority.folder.iterdir()} == before
        assert {p.stat().st_mode & 0o777 for p in authority.folder.iterdir()} == {0o600}
        assert authority.folder.stat().st_mode & 0o777 == 0o700

    def test_another_name_renews_the_servers_certificate_only(self, authority: Authority) -> None:
        ca = authority.ca_file.read_bytes()
        client = trusting(authority.ca_file, "x")
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(client, serving(authority.server_file, authority.server_key_file), "broker.example")
        authority.prepare(("localhost", "broker.example"))
        handshake(client, serving(authority.server_file, authority.server_key_file), "broker.example")
        assert authority.ca_file.read_bytes() == ca

    def test_the_server_is_known_by_the_names_of_this_machine_and_of_the_settings(self) -> None:
        settings = Settings(host="10.0.0.7", mqtt_tls_names=("broker.example",))
        assert set(server_names(settings)) == {
            "localhost",
            "127.0.0.1",
            "::1",
            "broker.example",
            "10.0.0.7",
        }
        assert "0.0.0.0" not in server_names(Settings(host="0.0.0.0"))

    def test_names_that_no_host_can_have_are_refused_by_their_setting(self, tmp_path: Path) -> None:
        with pytest.raises(SettingError, match="NENGLIU_MQTT_TLS_NAMES"):
            Authority(tmp_path / "tls").prepare(("a b",))

    def test_a_gateway_cannot_pass_for_the_broker_whatever_it_is_called(
        self, authority: Authority, tmp_path: Path
    ) -> None:
        issued = authority.for_gateway("localhost")
        (tmp_path / "c").write_text(issued.certificate)
        (tmp_path / "k").write_text(issued.key)
        with pytest.raises(ssl.SSLCertVerificationError, match=r"[Hh]ostname"):
            handshake(trusting(authority.ca_file, "x"), serving(tmp_path / "c", tmp_path / "k"), "localhost")

    def test_each_certificate_logs_in_as_a_user_that_no_gateway_can_be(self) -> None:
        first, second = new_identity("gw-1"), new_identity("gw-1")
        assert first != second
        assert "~" in first
        assert new_identity("x" * 55)
        with pytest.raises(GatewayNameError, match="55 characters"):
            new_identity("x" * 56)


class TestAdvice:
    """A bad certificate is explained by what to do."""

    def said(self, leaf: trustme.LeafCert, trusted: trustme.CA, host: str = "localhost") -> str:
        client = ssl.create_default_context()
        trusted.configure_trust(client)
        with pytest.raises(ssl.SSLError) as raised:
            handshake(client, serving_as(leaf), host)
        return explained(raised.value, "NENGLIU_EDGE_MQTT")

    def test_an_unknown_authority(self) -> None:
        assert "NENGLIU_EDGE_MQTT_CA_FILE" in self.said(trustme.CA().issue_cert("localhost"), trustme.CA())

    @pytest.mark.parametrize("host", ["broker.example", "127.0.0.1"])
    def test_another_host(self, host: str) -> None:
        ca = trustme.CA()
        said = self.said(ca.issue_cert("localhost"), ca, host)
        assert "other host names" in said
        assert "NENGLIU_EDGE_MQTT_URL" in said

    def test_an_expired_one(self) -> None:
        ca = trustme.CA()
        yesterday = datetime.now(UTC) - timedelta(days=1)
        assert "has expired" in self.said(ca.issue_cert("localhost", not_after=yesterday), ca)

    def test_one_that_is_not_valid_yet(self) -> None:
        ca = trustme.CA()
        later = datetime.now(UTC) + timedelta(days=3)
        assert "not valid yet" in self.said(ca.issue_cert("localhost", not_before=later), ca)

    def test_a_broker_that_wants_our_certificate_or_another(self) -> None:
        ca, other = trustme.CA(), trustme.CA()
        for shown, setting in ((None, "CERT_FILE"), (other.issue_cert("gateway.invalid"), "CERT_FILE")):
            client, server = ssl.create_default_context(), serving_as(ca.issue_cert("localhost"))
            client.maximum_version = ssl.TLSVersion.TLSv1_2  # the refusal comes in the handshake
            ca.configure_trust(client)
            ca.configure_trust(server)
            server.verify_mode = ssl.CERT_REQUIRED
            if shown is not None:
                shown.configure_cert(client)
            assert f"NENGLIU_MQTT_{setting}" in explained(alert(client, server), "NENGLIU_MQTT")

    def test_what_is_not_of_tls_is_left_as_it_is(self) -> None:
        assert explained(OSError(111, "refused"), "NENGLIU_MQTT") == "[Errno 111] refused"
        assert "mqtts:// in NENGLIU_MQTT_URL" in closed_early(False, "NENGLIU_MQTT")
        assert "NENGLIU_MQTT_CERT_FILE" in closed_early(True, "NENGLIU_MQTT")


def alert(client: ssl.SSLContext, server: ssl.SSLContext) -> ssl.SSLError:
    """What the client is told where the server refuses it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    while True:
        for end in (ours, theirs):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as e:
                if end is ours:
                    return e

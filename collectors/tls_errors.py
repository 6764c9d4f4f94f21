"""What to do about a connection to the broker that failed in TLS."""

from __future__ import annotations

import ssl

_AUTHORITY = (
    "the broker's certificate is not from an authority that we trust: name its authority's in {0}_CA_FILE"
)
_NAME = (
    "the broker's certificate is for other host names: name the broker in {0}_URL as its certificate does, "
    "or have that name put into it"
)
_OURS = "the broker does not take our certificate: have its authority issue one for {0}_CERT_FILE and {0}_KEY_FILE"

#: X509_V_ERR_* of OpenSSL (x509_vfy.h) -> what to do.
_VERIFICATION = {
    2: _AUTHORITY,
    7: _AUTHORITY,
    9: "the broker's certificate is not valid yet: check this machine's clock and the broker's certificate",
    10: "the broker's certificate has expired: renew it at the broker, or check this machine's clock",
    18: _AUTHORITY,
    19: _AUTHORITY,
    20: _AUTHORITY,
    21: _AUTHORITY,
    62: _NAME,
    64: _NAME,
}

#: Reasons of OpenSSL's own errors -> what to do.
_REASONS = {
    "WRONG_VERSION_NUMBER": "the broker speaks no TLS on this port: check host and port in {0}_URL, or use mqtt://",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the broker wants a certificate of us: set {0}_CERT_FILE and {0}_KEY_FILE",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the broker may want a certificate of us: {0}_CERT_FILE and {0}_KEY_FILE",
    "TLSV1_ALERT_UNKNOWN_CA": _OURS,
    "SSLV3_ALERT_BAD_CERTIFICATE": _OURS,
    "TLSV1_ALERT_DECRYPT_ERROR": _OURS,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _OURS,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": _OURS,
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "our certificate is revoked: have another issued for {0}_CERT_FILE",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate has expired: have another issued for {0}_CERT_FILE",
}

_ENDED = (
    "the broker ended the connection: it may speak no TLS on this port ({0}_URL), or want another certificate "
    "of us ({0}_CERT_FILE, {0}_KEY_FILE)"
)


def explained(error: BaseException | None, settings: str) -> str:
    """An error of a connection as text, with what to do where it came of TLS.

    settings: what the names of the connection's settings begin with, such as NENGLIU_MQTT.
    """
    advice: str | None = None
    if isinstance(error, ssl.SSLCertVerificationError):
        advice = _VERIFICATION.get(error.verify_code)
    elif isinstance(error, ssl.SSLEOFError):
        advice = _ENDED
    elif isinstance(error, ssl.SSLError):
        advice = _REASONS.get(error.reason or "")
    return f"{error}; {advice.format(settings)}" if advice else str(error)


def closed_early(tls: bool, settings: str) -> str:
    """What to say where the broker ended a connection before it answered CONNECT: it cannot say why itself."""
    if tls:
        return (
            "the broker closed the connection before it answered: it may want another certificate of us "
            f"({settings}_CERT_FILE, {settings}_KEY_FILE)"
        )
    return (
        f"the broker closed the connection before it answered: it may want TLS (mqtts:// in {settings}_URL)"
    )

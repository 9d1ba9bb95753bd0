"""A certificate with which two processes of this user know each other on loopback, where any user of the machine may connect.

Both hold the same key, in a folder that only this user may read, and trust this one certificate: whoever does not have the key can
neither connect nor stand in for the other side. It is made anew at each start of a service and is good for nothing else.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Java wants one. No secret: the file's mode protects it, and Flink shows its configuration to whoever may send it statements.
STORE_PASSWORD = "loopback"  # noqa: S105
_VALID = dt.timedelta(days=3650)


@dataclass(frozen=True)
class LoopbackCertificate:
    """A key with its certificate.

    Attributes:
        keystore: File in PKCS#12 for Java, as keystore and as truststore, opened by :data:`STORE_PASSWORD`.
        context: For a client in this process that shows the certificate and accepts no other.
    """

    keystore: Path
    context: ssl.SSLContext


def write(folder: Path, host: str) -> LoopbackCertificate:
    """Make a certificate for servers on a loopback address.

    Args:
        folder: Where its two files go, readable by this user alone.
        host: The address, such as ``127.0.0.1``.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _signed(key, host)
    keystore, pem = folder / "loopback.p12", folder / "loopback.pem"
    encryption = serialization.BestAvailableEncryption(STORE_PASSWORD.encode())
    _write_private(keystore, pkcs12.serialize_key_and_certificates(b"clickreel", key, certificate, None, encryption))
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certified = certificate.public_bytes(serialization.Encoding.PEM)
    _write_private(pem, plain + certified)
    context = ssl.create_default_context(cadata=certified.decode("ascii"))
    context.load_cert_chain(pem)
    return LoopbackCertificate(keystore, context)


def _signed(key: ec.EllipticCurvePrivateKey, host: str) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clickreel")])
    now = dt.datetime.now(dt.UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    names = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address(address)) for address in sorted({host, "127.0.0.1"})]
        + [x509.DNSName("localhost")]
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A clock that is set back a little must not end the stack.
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _write_private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)

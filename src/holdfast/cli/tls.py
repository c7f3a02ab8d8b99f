"""TLS for `holdfast serve`: the operator's certificate, or in development one of a local authority made on first use.

The authority may sign for the host name localhost and no other (name constraints), so that trusting it opens little
else. Addresses cannot be constrained: BoringSSL, which gRPC is built with, refuses chains that try.
"""

import ipaddress
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from holdfast.cli.protocols import AnyHttpProtocol
from holdfast.config import Config
from holdfast.errors import Misconfigured

AUTHORITY_DAYS, CERTIFICATE_DAYS = 3650, 397
"""Clients of Apple's refuse certificates that live longer than 398 days."""
_RENEW_BEFORE = timedelta(days=30)
_NAMES = ("localhost",)
_ADDRESSES = ("127.0.0.1", "::1")


def server_context(config: Config) -> ssl.SSLContext | None:
    """Return the TLS context to serve with; None = in clear. Raises Misconfigured for files that do not fit."""
    if not config.tls:
        return None
    cert, key = (
        _development_files(config.data_dir) if config.tls_dev else (config.tls_cert or Path(), config.tls_key or Path())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(AnyHttpProtocol.alpn_protocols)
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(f"the TLS certificate {cert} with its key {key} cannot be used: {error}") from None
    return context


def trust_lines(config: Config) -> list[str]:
    """Return the variables that make clients trust the development authority."""
    if not config.tls_dev:
        return []
    authority = (config.data_dir / "tls" / "ca.pem").resolve()
    names = ("REQUESTS_CA_BUNDLE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "NODE_EXTRA_CA_CERTS")
    return [f"export {name}={authority}" for name in names]


def _development_files(data_dir: Path) -> tuple[Path, Path]:
    """Return certificate and key, made or renewed where they are missing or end soon."""
    home = data_dir / "tls"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    cert, key = home / "localhost.pem", home / "localhost-key.pem"
    if not (key.exists() and _lasts(cert) and _lasts(home / "ca.pem")):
        authority, authority_key = _authority(home)
        _issue(authority, authority_key, cert, key)
    return cert, key


def _lasts(path: Path) -> bool:
    if not path.exists():
        return False
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc - _RENEW_BEFORE > datetime.now(UTC)


def _authority(home: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    cert_path, key_path = home / "ca.pem", home / "ca-key.pem"
    if _lasts(cert_path) and key_path.exists():
        held = load_pem_private_key(key_path.read_bytes(), None)
        if isinstance(held, ec.EllipticCurvePrivateKey):
            return x509.load_pem_x509_certificate(cert_path.read_bytes()), held
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Holdfast development authority")])
    # BoringSSL: "unsupported name constraint type" for addresses.
    allowed: list[x509.GeneralName] = [x509.DNSName(item) for item in _NAMES]
    builder = (
        _builder(name, name, key, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints(allowed, None), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    cert = builder.sign(key, hashes.SHA256())
    _write(key_path, _pem(key))
    _write(cert_path, cert.public_bytes(Encoding.PEM), 0o644)
    return cert, key


def _issue(
    authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey, cert_path: Path, key_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(item) for item in _NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(item)) for item in _ADDRESSES]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = (
        _builder(subject, authority.subject, key, CERTIFICATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    _write(key_path, _pem(key))
    _write(cert_path, builder.sign(authority_key, hashes.SHA256()).public_bytes(Encoding.PEM), 0o644)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, data: bytes, mode: int = 0o600) -> None:
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(data)
    fresh.replace(path)

"""Files that pass for certificates and are none."""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def revocations() -> bytes:
    """A list of revoked certificates, which OpenSSL takes where it is asked to load roots."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody")])
    builder = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(now).next_update(now)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

"""The certificate signing request of an order (RFC 9448 section 3, ATIS-1000080 section 6.3)."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stir.certificates.certificate import TN_AUTH_LIST_OID
from stir.certificates.tn_auth_list import TnAuthList, build_tn_auth_list


def certificate_request(
    key: ec.EllipticCurvePrivateKey,
    tn_auth_list: TnAuthList,
    common_name: str,
    *,
    organization: str | None = None,
    country: str | None = None,
    dns_names: Sequence[str] = (),
) -> bytes:
    """Return the request as DER, signed by its key, asking for the TNAuthList of the order."""
    names = [
        (NameOID.COUNTRY_NAME, country),
        (NameOID.ORGANIZATION_NAME, organization),
        (NameOID.COMMON_NAME, common_name),
    ]
    subject = x509.Name([x509.NameAttribute(oid, text) for oid, text in names if text])
    extension = x509.UnrecognizedExtension(
        TN_AUTH_LIST_OID, build_tn_auth_list(tn_auth_list.entries)
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    builder = builder.add_extension(extension, critical=False)
    if dns_names:
        names_too = x509.SubjectAlternativeName([x509.DNSName(name) for name in dns_names])
        builder = builder.add_extension(names_too, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

"""When the TLS certificate of an own server ends, as those see it who connect to it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509

from gateway.http.fetch import AddressSource, client_context
from sip.dns import DnsUnavailable

_SECONDS: Final = 5.0


class NoServerCertificate(Exception):
    """The server could not be reached or did not prove its name; the text says how."""


async def server_certificate_end(
    url: str, resolver: AddressSource, trust_file: Path | None
) -> float:
    """Return the notAfter, in epoch seconds, of the certificate behind an https URL of our own.

    Raises NoServerCertificate. For URLs of the configuration only: no address is refused.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        async with asyncio.timeout(_SECONDS):
            addresses = await resolver.addresses(host)
            if not addresses:
                raise NoServerCertificate(f"{host} has no address")
            _, writer = await asyncio.open_connection(
                addresses[0],
                parts.port or 443,
                ssl=client_context(trust_file),
                server_hostname=host,
            )
    except TimeoutError:
        raise NoServerCertificate(f"{host}: nothing within {_SECONDS:g} s") from None
    except (OSError, ssl.SSLError, ValueError, DnsUnavailable) as error:
        raise NoServerCertificate(f"{host}: {error}") from None
    try:
        peer = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(peer).not_valid_after_utc.timestamp()
    finally:
        writer.transport.abort()

"""TLS contexts for SIP (RFC 3261 26.3.1, RFC 5922) and words for what went wrong with TLS.

Host names are not left to `ssl`: its rules are those of the web (wildcards), SIP's are RFC 5922's
and are checked by `domain_identity` before the first byte of SIP is sent.
"""

import ssl

from sip.flow import Address
from sip.transport.settings import TlsSettings


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """Make the context of a listener; raises OSError (ssl.SSLError) for unusable files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    context.load_cert_chain(settings.certificate_file, settings.key_file)
    if settings.client_trust_anchor_file is not None:
        context.load_verify_locations(settings.client_trust_anchor_file)
        context.verify_mode = ssl.CERT_OPTIONAL
    if settings.verify_client:
        context.verify_mode = ssl.CERT_REQUIRED
        if settings.client_trust_anchor_file is None:
            _load_anchors(context, settings.trust_anchor_file)
    return context


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """Make the context of outgoing connections, which present the listener's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(settings.certificate_file, settings.key_file)
    _load_anchors(context, settings.trust_anchor_file)
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _load_anchors(context: ssl.SSLContext, file: str | None) -> None:
    if file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.load_verify_locations(file)


def describe(error: BaseException, address: Address) -> str:
    """Say whose fault a failed handshake is, in one line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"tls: certificate of {address} is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "handshake failed").lower().replace("_", " ")
        if "alert" in reason:
            return f"tls: {address} refused us: {reason}"
        return f"tls: {address} does not speak TLS as we do: {reason}"
    if isinstance(error, ConnectionError | TimeoutError | EOFError):
        return f"tls: {address} did not finish the handshake"
    return f"tls: {address}: {error}"

"""Via on the way in and out (RFC 3261 18.1.1, 18.2.1, RFC 3581)."""

from secrets import token_hex

from sip.fields import Via, rest_of_vias
from sip.flow import Address, Flow, Transport
from sip.message import Request

MAGIC_COOKIE = "z9hG4bK"
_BRANCH_BYTES = 10


def push_via(request: Request, transport: Transport, sent_by: Address, suffix: str) -> Request:
    """Put our Via on top, with a branch nobody can guess; `suffix` ends the branch."""
    branch = f"{MAGIC_COOKIE}{token_hex(_BRANCH_BYTES)}{suffix}"
    value = f"SIP/2.0/{transport.upper()} {sent_by};branch={branch};rport"
    return request.with_headers(request.headers.prepend("Via", value))


def stamp_via(request: Request, flow: Flow) -> Request:
    """Note in the top Via where a request really came from, whatever it claims.

    `received` goes on where the host differs, is a name, or the client asks for `rport`. Raises
    MalformedHeader where there is no Via to stamp.
    """
    via = request.top_via
    wants_port = "rport" in via.params
    if not wants_port and "received" not in via.params and via.sent_by.host == flow.remote.host:
        return request
    noted = {"received": flow.remote.host}
    if wants_port:
        noted["rport"] = str(flow.remote.port)
    via = Via(via.transport, via.sent_by, via.params.setting_all(noted))
    written = request.headers.get("Via") or ""
    rest = rest_of_vias(written) if "," in written else None
    value = str(via) if rest is None else f"{via}, {rest}"
    return request.with_headers(request.headers.replace_first("Via", value))


def reply_address(request: Request, flow: Flow) -> tuple[Address, str | None]:
    """Give where to connect for a response whose connection is gone (RFC 3261 18.2.2).

    That is the source's address and the port of sent-by; besides, the name that a TLS server there
    would have to prove.
    """
    sent_by = request.top_via.sent_by
    port = sent_by.port or (5061 if flow.transport == "tls" else 5060)
    return Address(flow.remote.host, port), sent_by.host

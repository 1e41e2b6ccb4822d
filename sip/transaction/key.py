"""How a message finds its transaction (RFC 3261 sections 17.1.3 and 17.2.3)."""

from __future__ import annotations

from typing import Final, NamedTuple

from sip.flow import Flow
from sip.message import Request, Response

MAGIC_COOKIE: Final = "z9hG4bK"
_COOKIE: Final = MAGIC_COOKIE.lower()


class ServerKey(NamedTuple):
    """Names a server transaction: branch, sent-by and method of the request (17.2.3).

    The method of an ACK counts as INVITE. For a request of an RFC 2543 client, whose branch has
    no magic cookie (or nothing behind it, RFC 4475 section 3.2.1), `branch` is made of the
    fields that RFC matched on.
    """

    branch: str
    sent_by: tuple[str, int]
    method: str


class ClientKey(NamedTuple):
    """Names a client transaction: our branch and the method of the CSeq (17.1.3)."""

    branch: str
    method: str


TransactionKey = ServerKey | ClientKey


def client_key(message: Request | Response) -> ClientKey:
    """Return the key of the client transaction that sent a request, or that a response is for."""
    return ClientKey(message.top_via.branch or "", message.cseq.method)


def server_key(request: Request, flow: Flow) -> ServerKey:
    """Return the key of the server transaction a request belongs to, or begins.

    The request has passed validation: From, To, Call-ID, CSeq and the top Via are well formed.
    The cookie is recognised in any case (tokens are case-insensitive, RFC 3261 section 7.3.1),
    but the branch is compared as written: a retransmission is the same bytes, and lower-casing
    would let two base64 branches of a careless peer meet.
    """
    via = request.top_via
    sent_by = via.sent_by
    port = sent_by.port
    if port is None:
        port = 5061 if flow.transport == "tls" else 5060
    method = request.method
    if method == "ACK":
        method = "INVITE"
    branch = via.branch or ""
    if len(branch) <= len(_COOKIE) or branch[: len(_COOKIE)].lower() != _COOKIE:
        branch = _rfc2543_branch(request, method, branch)
    return ServerKey(branch, (sent_by.host.lower(), port), method)


def key_of_invite(cancel: ServerKey) -> ServerKey:
    """Return the key of the INVITE server transaction that a CANCEL would cancel (9.2)."""
    return ServerKey(cancel.branch, cancel.sent_by, "INVITE")


def _rfc2543_branch(request: Request, method: str, branch: str) -> str:
    """Join what RFC 2543 matches on (17.2.3); a space separates, for no field below holds one.

    The To tag counts only outside INVITE and CANCEL: an ACK carries the tag of the response and
    the INVITE does not, and both have to find the same transaction.
    """
    to_tag = "" if method in ("INVITE", "CANCEL") else request.to.tag or ""
    return " ".join(
        (
            branch,
            request.request_uri,
            request.from_.tag or "",
            to_tag,
            request.call_id,
            str(request.cseq.number),
        )
    )

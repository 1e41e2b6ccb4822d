"""A call that is not taken, and what its caller is told."""

from __future__ import annotations

import secrets

from sip.message import Request, Response, response_to


class CallRefused(Exception):
    """The request is answered with `status`; `text` becomes its Reason (RFC 3326).

    `headers` are added to the response as they are.
    """

    def __init__(
        self,
        status: int,
        text: str = "",
        *,
        phrase: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(text or phrase or str(status))
        self.status = status
        self.text = text
        self.phrase = phrase
        self.headers = headers

    def response(self, request: Request) -> Response:
        """Return the response owed to the request."""
        headers = self.headers
        if self.text:
            headers += (("Reason", reason_value(self.status, self.text)),)
        return final_response(request, self.status, self.phrase, headers)


def final_response(
    request: Request,
    status: int,
    phrase: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Response:
    """Return a final response of the gateway's own, with a To tag (RFC 3261 section 8.2.6.2)."""
    return response_to(request, status, phrase, to_tag=secrets.token_hex(8), headers=headers)


def reason_value(status: int, text: str) -> str:
    """Return a Reason header field value of protocol SIP (RFC 3326 section 2)."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'SIP;cause={status};text="{quoted}"'

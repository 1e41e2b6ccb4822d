"""Submitting multimedia messages to an MMSC by mail (SMTP).

A number's address is its digits in the form of 3GPP TS 23.140, +12125550123/TYPE=PLMN@ and the
MMSC's domain, or whatever else the operator's template says.
"""

from __future__ import annotations

from typing import Final

import structlog

from discovery.number import masked
from discovery.spin.mms import add_content
from gateway.mail.submission import MailFailed, MailFailure, MailSubmission, new_message
from gateway.sms.failure import SmsFailed, SmsFailure

_log = structlog.get_logger("mms")
_FAILURES: Final = {
    MailFailure.BUSY: SmsFailure.BUSY,
    MailFailure.NOT_LET_IN: SmsFailure.NOT_BOUND,
    MailFailure.DELAYED: SmsFailure.THROTTLED,
    MailFailure.REFUSED: SmsFailure.REJECTED,
    MailFailure.TIMEOUT: SmsFailure.TIMEOUT,
    MailFailure.CLOSED: SmsFailure.LINK_LOST,
}


class MmscMail:
    """Submits invitations by mail; in sender and recipient {number} stands for digits."""

    def __init__(self, submission: MailSubmission, sender: str, recipient: str) -> None:
        self._submission = submission
        self._sender = sender
        self._recipient = recipient

    async def send(self, source: str, destination: str, text: str, token: str) -> None:
        """Submit an invitation with a text for people; raises SmsFailed within the time."""
        sender = self._sender.replace("{number}", source)
        recipient = self._recipient.replace("{number}", destination)
        message = new_message(sender, recipient)
        add_content(message, text, token)
        try:
            await self._submission.submit(message, sender, recipient)
        except MailFailed as failed:
            raise SmsFailed(
                failed.culprit,
                _FAILURES[failed.failure],
                failed.detail,
                definite=failed.definite,
            ) from None
        _log.info("multimedia message taken", number=masked(destination))

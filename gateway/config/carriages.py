"""How invitations travel: what networks take, multimedia messages, a provider over HTTP."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, SecretStr, Strict, model_validator

from gateway.config.base import Count, FilePath, Flag, NumberPrefix, Seconds, Section, Text
from gateway.config.mail import SubmissionServer


class Network(Section):
    """What numbers with a prefix are known to take, best first; text is always tried last."""

    prefix: NumberPrefix = Field(description="Country, area or range, such as +33.")
    carriages: tuple[Literal["text", "reference", "binary", "mms"], ...] = Field(
        min_length=1,
        description="Ways an invitation travels: text (4 to 5 short messages), reference (one; the "
        "agent fetches it from us), binary (4, without fallback text for people), mms.",
    )


_DOT_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_MAIL_ADDRESS: Final = re.compile(
    rf"(?=[^@]{{1,64}}@){_DOT_ATOM}(?:\.{_DOT_ATOM})*@[A-Za-z0-9](?:[A-Za-z0-9.-]{{0,251}}[A-Za-z0-9])?"
)
_LONGEST_NUMBER: Final = "9" * 15


def _address_template(text: str) -> str:
    filled = text.replace("{number}", _LONGEST_NUMBER, 1)
    if not _MAIL_ADDRESS.fullmatch(filled) or "{" in filled or "{" in text.partition("@")[2]:
        raise ValueError(f"'{text}' is no mail address, with {{number}} where the digits go")
    return text


AddressTemplate = Annotated[str, Strict(), AfterValidator(_address_template)]


class MmsMail(SubmissionServer):
    """Submission by mail (SMTP) to an MMSC that takes it, instead of MM7.

    In sender and recipient {number} stands for the caller's and the called number's digits.
    """

    sender: AddressTemplate = Field(
        description="Address the invitation comes from, such as +{number}/TYPE=PLMN@edge.example.",
    )
    recipient: AddressTemplate = Field(
        description="Address of a number at the MMSC: +{number}/TYPE=PLMN@ and its domain.",
    )
    timeout_seconds: Seconds = Field(default=5.0, gt=0, le=60, description="For a submission.")

    @model_validator(mode="after")
    def _whom(self) -> Self:
        if "{number}" not in self.recipient:
            raise ValueError("recipient has no {number}: everybody's would go to one mailbox")
        return self


class Mms(Section):
    """The multimedia message service centre: MM7 over HTTPS (url), or [spin.mms.mail].

    What it delivers to us comes by MM7, at /mm7, either way.
    """

    url: Text | None = Field(
        default=None,
        description="https URL of the MMSC's MM7 interface; vasp_id and vas_id go with it.",
    )
    vasp_id: Text = Field(default="", max_length=64, description="VASPID, who we are to it.")
    vas_id: Text = Field(default="", max_length=64, description="VASID, which service of ours.")
    mail: MmsMail | None = Field(default=None, description="Submission by mail instead of MM7.")
    user: Text = Field(default="", description="User name (HTTP Basic); none if empty.")
    password: SecretStr | None = Field(default=None, description="Password to it.")
    password_file: FilePath | None = Field(
        default=None, description="File whose first line is the password."
    )
    certificates: Flag = Field(
        default=False,
        description="Carry the certificates in the invitation (x5c) instead of their URL.",
    )
    timeout_seconds: Seconds = Field(default=5.0, gt=0, le=60, description="For a submission.")
    deliver_user: Text = Field(
        default="mmsc", description="User name the MMSC presents when it delivers to /mm7."
    )
    deliver_password: SecretStr | None = Field(
        default=None, description="Its password; without one nothing is taken."
    )
    deliver_password_file: FilePath | None = Field(
        default=None, description="File whose first line is that password."
    )

    @model_validator(mode="after")
    def _https(self) -> Self:
        if (self.url is None) == (self.mail is None):
            raise ValueError("give 'url' (MM7) or [spin.mms.mail], one of them")
        if self.url is None:
            return self
        loopback = self.url.startswith(("http://127.", "http://[::1]"))
        if not (self.url.startswith("https://") or loopback):
            raise ValueError("url is not https")
        if not (self.vasp_id and self.vas_id):
            raise ValueError("MM7 needs vasp_id and vas_id")
        return self


class SmsRoute(Section):
    """Which carriers numbers with a prefix go by."""

    prefix: NumberPrefix = Field(description="Country, area or range, such as +33.")
    order: tuple[Literal["smpp", "http"], ...] = Field(
        min_length=1, description="Carriers in the order they are tried; one not named is not used."
    )


class SmsReceipts(Section):
    """Delivery receipts that the provider posts to /sms/receipts, signed as messages are."""

    message_id: Text = Field(
        default="id", min_length=1, description="Path of the message's name, such as message.id."
    )
    status: Text = Field(default="status", min_length=1, description="Path of its status.")
    delivered: tuple[Text, ...] = Field(
        default=("delivered",), description="Words of the status that mean: it arrived."
    )
    failed: tuple[Text, ...] = Field(
        default=("failed", "undelivered", "expired", "rejected"),
        description="Words that mean: it will not; any other is not final.",
    )


class HttpSms(Section):
    """A provider of short messages over HTTP, alone or beside [sms.smpp].

    In url, headers and bodies these stand for values: {from}, {to} (digits), {text}, {secret},
    {id} (a name of ours that receipts may come back with); and for carriage binary {udh} and
    {data} (hexadecimal), a request a part.
    """

    url: Text = Field(description="https URL messages are sent to.")
    method: Literal["POST", "PUT", "GET"] = Field(default="POST", description="HTTP method.")
    headers: dict[str, str] = Field(default={}, description="Header fields to send.")
    json_body: dict[str, JsonValue] | None = Field(
        default=None, description="Body as JSON, with placeholders in its texts."
    )
    form_body: dict[str, str] | None = Field(default=None, description="Body as a form instead.")
    secret: SecretStr | None = Field(default=None, description="Secret of our account.")
    secret_file: FilePath | None = Field(
        default=None, description="File whose first line is the secret."
    )
    source_address: Text | None = Field(
        default=None, description="Sender shown to people; the caller's number if absent."
    )
    timeout_seconds: Seconds = Field(default=5.0, gt=0, le=60, description="For one message.")
    max_under_way: Count = Field(default=100, ge=1, description="Messages sent at once.")
    answer_id: Text = Field(
        default="",
        description="Path in its answer of the name it gives a message, such as messages.0.id, for "
        "receipts; unless the template has {id}.",
    )
    receipts: SmsReceipts = Field(
        default=SmsReceipts(), description="What its delivery receipts look like."
    )
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="Key that signs incoming messages at /sms; without one none is taken.",
    )
    webhook_secret_file: FilePath | None = Field(
        default=None, description="File whose first line is that key."
    )
    webhook_window_seconds: Seconds = Field(
        default=300.0, gt=0, le=3600, description="How old a signed message may be."
    )

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        loopback = self.url.startswith(("http://127.", "http://[::1]"))
        if not (self.url.startswith("https://") or loopback):
            raise ValueError("url is not https")
        if self.json_body is not None and self.form_body is not None:
            raise ValueError("give 'json_body' or 'form_body', not both")
        if self.method == "GET" and (self.json_body is not None or self.form_body is not None):
            raise ValueError("GET has no body: put the placeholders into url")
        return self

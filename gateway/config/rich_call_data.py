"""Sections about what is signed of a caller beyond the number, and what devices are shown of it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, Strict, model_validator

from gateway.config.base import FilePath, Flag, Section, Text
from stir.extensions.rcd_integrity import is_https_url


def _display_name(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > 128:
        raise ValueError("a display name is 1 to 128 printable characters")
    return text.strip()


def _https_url(text: str) -> str:
    if not is_https_url(text):
        raise ValueError(f"'{text}' is no https URL")
    return text


def _fingerprint(text: str) -> str:
    bare = text.replace(":", "").lower()
    if len(bare) != 64 or any(letter not in "0123456789abcdef" for letter in bare):
        raise ValueError("a certificate is named by its SHA-256 fingerprint in hexadecimal")
    return bare


def _namespace(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text or "." in text or not text:
        raise ValueError(f"'{text}' is no namespace of Resource-Priority, as 'ets' is")
    return text.lower()


DisplayName = Annotated[str, Strict(), AfterValidator(_display_name)]
HttpsUrl = Annotated[str, Strict(), AfterValidator(_https_url)]
Fingerprint = Annotated[str, Strict(), AfterValidator(_fingerprint)]
Namespace = Annotated[str, Strict(), AfterValidator(_namespace)]


class RichCallData(Section):
    """What is signed of some own callers beside their number (RFC 9795); the first that fits."""

    users: tuple[Text, ...] = Field(default=(), description="Names of the users it is for.")
    trunks: tuple[Text, ...] = Field(default=(), description="Names of the trunks it is for.")
    name: DisplayName = Field(description="Display name; it replaces what the device writes.")
    icon_url: HttpsUrl | None = Field(
        default=None, description="Public https URL of a picture for the call."
    )
    icon_file: FilePath | None = Field(
        default=None,
        description="The picture itself: its digest is signed, so publish it unchanged.",
    )
    call_reason: Text | None = Field(
        default=None, max_length=64, description="Why they call, in a few words (RFC 9796)."
    )
    passport: Literal["rcd", "shaken"] = Field(
        default="rcd",
        description="rcd: a PASSporT of its own beside shaken. shaken: within that one.",
    )

    @model_validator(mode="after")
    def _is_for_somebody(self) -> Self:
        if not self.users and not self.trunks:
            raise ValueError("give 'users' or 'trunks', or it is for nobody")
        if (self.icon_url is None) != (self.icon_file is None):
            raise ValueError("give both 'icon_url' and 'icon_file', or neither")
        return self


class CallerDisplay(Section):
    """What own devices are shown of callers of other providers."""

    fetch: Flag = Field(
        default=False,
        description="Fetch icons and cards that a verified caller links to, compare them with the "
        "signed digests, and pass on what agrees. It makes those calls wait for it. Without, "
        "nothing that needs a fetch is passed on.",
    )
    unverified_name: Literal["remove", "pass"] = Field(
        default="remove",
        description="A display name that no valid PASSporT signs, beside a number that is marked "
        "as verified.",
    )
    unverified_call_info: Literal["remove", "pass"] = Field(
        default="remove",
        description="Call-Info that no valid PASSporT signs: icons, cards, and what makes some "
        "devices answer by themselves.",
    )


class PriorityAuthority(Section):
    """Who may sign Resource-Priority values of some namespaces (RFC 8443 section 3)."""

    namespaces: tuple[Namespace, ...] = Field(min_length=1, description="Such as 'ets' and 'wps'.")
    service_provider_codes: tuple[Text, ...] = Field(
        default=(), description="Codes in the TNAuthList of the signer's certificate."
    )
    certificates: tuple[Fingerprint, ...] = Field(
        default=(), description="SHA-256 fingerprints of the signer's certificate."
    )

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if not self.service_provider_codes and not self.certificates:
            raise ValueError("give 'service_provider_codes' or 'certificates'")
        return self


class Priority(Section):
    """Calls with priority, and emergency callbacks (RFC 8443, RFC 9027)."""

    users: tuple[Text, ...] = Field(
        default=(),
        description="Users whose Resource-Priority, and Priority psap-callback, is signed; of "
        "all others it is removed.",
    )
    trunks: tuple[Text, ...] = Field(default=(), description="The same for trunks.")
    authority: tuple[PriorityAuthority, ...] = Field(
        default=(),
        description="Who is believed of the other providers; what else they ask for is removed.",
    )

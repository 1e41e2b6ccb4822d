"""Why a check failed: a closed list, each with its SIP status, clause, explanation and likely fix.

The statuses are RFC 8224 section 6.2.2's. Where that section leaves room the choice is: 437 for
whatever is wrong with the *credential* (chain, validity, key, TNAuthList missing, malformed or not
covering the originator: the signer has to come with another certificate), 438 for whatever is
wrong with the *PASSporT* or its match with the request (sign again), 436 for an `info` URI that is
refused or does not answer, 403 for freshness.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from stir.reason_texts import TEXTS

PHRASES: Final = {
    400: "Bad Request",
    403: "Stale Date",
    428: "Use Identity Header",
    436: "Bad Identity Info",
    437: "Unsupported Credential",
    438: "Invalid Identity Header",
}


class Reason(Enum):
    """One cause of a failed or unavailable check.

    `code` is the name scripts and logs see, `sip_status` answers the request by a strict policy,
    `clause` is where the rule stands. `prose` says what is wrong for a person, `mistake` what the
    peer probably did, `fix` what to do: the words stand in `stir.reason_texts`.
    """

    def __init__(self, code: str, sip_status: int, clause: str) -> None:
        self.code = code
        self.sip_status = sip_status
        self.clause = clause

    @property
    def phrase(self) -> str:
        """The SIP reason phrase of the status."""
        return PHRASES[self.sip_status]

    @property
    def prose(self) -> str:
        """What is wrong, in one sentence."""
        return TEXTS[self.name].prose

    @property
    def mistake(self) -> str:
        """What the peer probably did."""
        return TEXTS[self.name].mistake

    @property
    def fix(self) -> str:
        """What to do about it."""
        return TEXTS[self.name].fix

    IDENTITY_MISSING = ("identity_missing", 428, "RFC 8224 6.2.2")
    TOO_MANY_IDENTITIES = ("too_many_identities", 400, "RFC 8224 4; local limit")
    IDENTITY_MALFORMED = ("identity_malformed", 438, "RFC 8224 4.1")
    PASSPORT_MALFORMED = ("passport_malformed", 438, "RFC 8225 4, RFC 7515 7.1")
    COMPACT_FORM_UNUSABLE = ("compact_form_unusable", 438, "RFC 8224 4, RFC 8588 7")
    WRONG_TYPE = ("wrong_type", 438, "RFC 8225 4.1")
    CRITICAL_HEADER = ("critical_header", 438, "RFC 7515 4.1.11")
    EMBEDDED_KEY = ("embedded_key", 438, "RFC 8225 4.3")
    UNSUPPORTED_PPT = ("unsupported_ppt", 428, "RFC 8224 6.2 step 1")
    PPT_MISMATCH = ("ppt_mismatch", 438, "RFC 8224 4.1, RFC 8225 8.1")
    UNSUPPORTED_ALGORITHM = ("unsupported_algorithm", 437, "RFC 8225 4.2, RFC 8588 5")
    INFO_MISSING = ("info_missing", 438, "RFC 8225 4.3")
    INFO_REFUSED = ("info_refused", 436, "RFC 8224 7.3, ATIS-1000074 5.3")
    INFO_MISMATCH = ("info_mismatch", 438, "RFC 8224 4.1, RFC 8225 4.3")
    CLAIM_MISSING = ("claim_missing", 438, "RFC 8225 5, RFC 8588 4")
    CLAIM_MALFORMED = ("claim_malformed", 438, "RFC 8225 5, RFC 8588 4")
    STALE_DATE = ("stale_date", 403, "RFC 8224 6.2 step 4")
    CREDENTIAL_UNAVAILABLE = ("credential_unavailable", 436, "RFC 8224 6.2.2")
    CREDENTIAL_MALFORMED = ("credential_malformed", 437, "RFC 5280 4.1, RFC 8226 9")
    CREDENTIAL_KEY = ("credential_key", 437, "RFC 8588 5, ATIS-1000080 6.4")
    CREDENTIAL_KEY_USAGE = ("credential_key_usage", 437, "RFC 5280 4.2.1.3, ATIS-1000080 6.4")
    CREDENTIAL_EXPIRED = ("credential_expired", 437, "RFC 5280 4.1.2.5")
    CREDENTIAL_NOT_YET_VALID = ("credential_not_yet_valid", 437, "RFC 5280 4.1.2.5")
    CREDENTIAL_EXTENSION = ("credential_extension", 437, "RFC 5280 4.2")
    CHAIN_UNTRUSTED = ("chain_untrusted", 437, "RFC 5280 6.1, ATIS-1000084")
    CHAIN_SIGNATURE = ("chain_signature", 437, "RFC 5280 6.1.3")
    CHAIN_NOT_CA = ("chain_not_ca", 437, "RFC 5280 4.2.1.9")
    CHAIN_EXPIRED = ("chain_expired", 437, "RFC 5280 6.1.3")
    CHAIN_TOO_LONG = ("chain_too_long", 437, "RFC 5280 6.1.4")
    CHAIN_NAME_CONSTRAINTS = ("chain_name_constraints", 437, "RFC 5280 4.2.1.10")
    AUTHORITY_MISSING = ("authority_missing", 437, "RFC 8226 9")
    AUTHORITY_MALFORMED = ("authority_malformed", 437, "RFC 8226 9")
    AUTHORITY_NOT_COVERED = ("authority_not_covered", 437, "RFC 8226 9, RFC 8224 6.2 step 2")
    AUTHORITY_CODE_REFUSED = ("authority_code_refused", 437, "RFC 8226 9; local policy")
    AUTHORITY_NOT_ENCOMPASSED = ("authority_not_encompassed", 437, "RFC 9060 4")
    SIGNATURE_INVALID = ("signature_invalid", 438, "RFC 8224 6.2 step 5, RFC 7515 5.2")
    ORIGINATOR_MISMATCH = ("originator_mismatch", 438, "RFC 8224 6.2 step 3")
    DESTINATION_MISMATCH = ("destination_mismatch", 438, "RFC 8224 6.2 step 3")
    MEDIA_KEYS_MISMATCH = ("media_keys_mismatch", 438, "RFC 8225 5.2.2, RFC 8862 4")
    MEDIA_KEYS_MISSING = ("media_keys_missing", 438, "RFC 8224 4.1")
    REPLAYED = ("replayed", 438, "RFC 8224 12.1")
    DIVERSION_WITHOUT_ORIGINAL = ("diversion_without_original", 438, "RFC 8946 4.1, 4.2")
    DIVERSION_BROKEN = ("diversion_broken", 438, "RFC 8946 4.2")
    DIVERSION_LOOP = ("diversion_loop", 438, "RFC 8946 3; local rule")
    DIVERSION_TOO_LONG = ("diversion_too_long", 438, "local limit")
    DIVERSION_ORIGINAL_FAILED = ("diversion_original_failed", 438, "RFC 8946 4.2")
    RESOURCE_PRIORITY_MISMATCH = ("resource_priority_mismatch", 438, "RFC 8443 4.2")
    PRIORITY_AUTHORITY = ("priority_authority", 437, "RFC 8443 3; local policy")
    PRIORITY_MISMATCH = ("priority_mismatch", 438, "RFC 9027 4")
    CALLER_NAME_MISMATCH = ("caller_name_mismatch", 438, "RFC 9795 5.1, RFC 9796")
    CALLER_DATA_INTEGRITY = ("caller_data_integrity", 438, "RFC 9795 6, 8.2")
    CALLER_DATA_UNAVAILABLE = ("caller_data_unavailable", 436, "RFC 9795 8.2")
    MESSAGE_DIGEST_MISMATCH = ("message_digest_mismatch", 438, "RFC 9475 3.2")
    MESSAGE_DIGEST_MISSING = ("message_digest_missing", 438, "RFC 9475 3.2; local policy")
    METHOD_MISMATCH = ("method_mismatch", 438, "RFC 8224 6.2 step 1, RFC 9475 3.2")
    CLAIM_NOT_PERMITTED = ("claim_not_permitted", 437, "RFC 8226 8, RFC 9118 4")
    CONSTRAINTS_MALFORMED = ("constraints_malformed", 437, "RFC 8226 8, RFC 9118 4")
    AUTHORITY_UNAVAILABLE = ("authority_unavailable", 436, "RFC 8226 10.1")
    CREDENTIAL_REVOKED = ("credential_revoked", 437, "RFC 5280 6.3, ATIS-1000080 5.3")
    REVOCATION_UNAVAILABLE = ("revocation_unavailable", 437, "RFC 5280 6.3; local policy")
    TRANSPARENCY_MISSING = (
        "transparency_missing",
        437,
        "draft-ietf-stir-certificate-transparency; local policy",
    )
    TRANSPARENCY_INVALID = (
        "transparency_invalid",
        437,
        "RFC 6962 3.2, draft-ietf-stir-certificate-transparency",
    )
    REMOTE_UNAVAILABLE = ("remote_unavailable", 436, "ATIS-1000082; RFC 8224 6.2.2")
    REMOTE_CREDENTIAL = ("remote_credential", 437, "ATIS-1000082; RFC 8224 6.2.2")
    REMOTE_INVALID = ("remote_invalid", 438, "ATIS-1000082; RFC 8224 6.2.2")


def printable(text: str, limit: int) -> str:
    """Return a stranger's text fit for a log line or terminal: escaped and cut to `limit`."""
    shown = text if text.isascii() and text.isprintable() else ascii(text[: limit + 1])[1:-1]
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def reason_header_value(reason: Reason, *, token: str | None = None) -> str:
    """Build a Reason header field value for a response (RFC 9410 section 4).

    With `token`, the PASSporT it is about is named by ``ppi`` in compact form, which discloses no
    number (RFC 9410 section 5).
    """
    text = f'STIR;cause={reason.sip_status};text="{reason.phrase}"'
    signature = "" if token is None else token.rpartition(".")[2]
    if signature and all(c.isascii() and (c.isalnum() or c in "-_") for c in signature):
        text += f';ppi="..{signature}"'
    return text

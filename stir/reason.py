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

    `sip_status` answers the request by a strict policy, `clause` is where the rule stands,
    `prose` what is wrong for a person, `mistake` what the peer probably did, `fix` what to do.
    """

    def __init__(self, sip_status: int, clause: str, prose: str, mistake: str, fix: str) -> None:
        self.sip_status = sip_status
        self.clause = clause
        self.prose = prose
        self.mistake = mistake
        self.fix = fix

    @property
    def code(self) -> str:
        """The name scripts and logs see, such as ``stale_date``."""
        return self.name.lower()

    @property
    def phrase(self) -> str:
        """The SIP reason phrase of the status."""
        return PHRASES[self.sip_status]

    IDENTITY_MISSING = (
        428,
        "RFC 8224 6.2.2",
        "The request carries no Identity header field.",
        "The peer does not sign, or a switch in between removed the header.",
        "Sign the request, or ask every hop to pass Identity on unchanged.",
    )
    TOO_MANY_IDENTITIES = (
        400,
        "RFC 8224 4; local limit",
        "The request carries more or larger Identity header fields than are looked at.",
        "A loop added a header at every turn, or somebody is probing.",
        "Send fewer Identity header fields, or raise the limit for this peer.",
    )
    IDENTITY_MALFORMED = (
        438,
        "RFC 8224 4.1",
        "The Identity header field does not follow its grammar.",
        "A parameter lost its semicolon, or info its angle brackets.",
        "Send `token;info=<https://...>;alg=ES256;ppt=shaken`.",
    )
    PASSPORT_MALFORMED = (
        438,
        "RFC 8225 4, RFC 7515 7.1",
        "The token is not a PASSporT: three base64url parts with strict JSON inside.",
        "The token was cut, wrapped, padded or built by hand.",
        "Build the token with a JOSE library and copy it whole.",
    )
    COMPACT_FORM_UNUSABLE = (
        438,
        "RFC 8224 4, RFC 8588 7",
        "The compact form cannot be rebuilt from this request.",
        "The Date header field is missing, or the extension has claims the request does not hold.",
        "Send the full form of the PASSporT.",
    )
    WRONG_TYPE = (
        438,
        "RFC 8225 4.1",
        "The token's typ is not `passport`.",
        "Another kind of JWT (an SPC token, a bearer token) was put into the Identity header.",
        "Send a PASSporT: `typ` must be `passport`.",
    )
    CRITICAL_HEADER = (
        438,
        "RFC 7515 4.1.11",
        "The token marks header parameters as critical that nobody here understands.",
        "The signer uses a JOSE extension that PASSporTs do not have.",
        "Sign without the `crit` header parameter.",
    )
    EMBEDDED_KEY = (
        438,
        "RFC 8225 4.3",
        "The token brings or names its own key; only x5u may name the credential.",
        "A general JOSE library added jwk, jku, kid, x5c or x5t by default.",
        "Sign with `alg`, `ppt`, `typ` and `x5u` only.",
    )
    UNSUPPORTED_PPT = (
        428,
        "RFC 8224 6.2 step 1",
        "The PASSporT type is not supported; the header field is not considered.",
        "The peer sent an extension without a base or SHAKEN PASSporT beside it.",
        "Send a `shaken` PASSporT as well.",
    )
    PPT_MISMATCH = (
        438,
        "RFC 8224 4.1, RFC 8225 8.1",
        "The ppt parameter of the header field and of the token differ.",
        "The token was put into a header field made for another one.",
        "Use the token's own ppt in the Identity header field.",
    )
    UNSUPPORTED_ALGORITHM = (
        437,
        "RFC 8225 4.2, RFC 8588 5",
        "The signature algorithm is not ES256.",
        "The signing software was configured with another algorithm or key type.",
        "Sign with ES256 and a P-256 key.",
    )
    INFO_MISSING = (
        438,
        "RFC 8225 4.3",
        "The token has no x5u to find the credential by.",
        "The signer left the certificate URL out.",
        "Put the https URL of the certificate into `x5u` and into `info`.",
    )
    INFO_REFUSED = (
        436,
        "RFC 8224 7.3, ATIS-1000074 5.3",
        "The credential URL is not one this service will fetch.",
        "The URL is plain http, uses another port, or carries user information or a query.",
        "Publish the certificate at an https URL on port 443 or 8443.",
    )
    INFO_MISMATCH = (
        438,
        "RFC 8224 4.1, RFC 8225 4.3",
        "The info parameter is not the token's x5u.",
        "A header from one signing run was joined with a token from another.",
        "Use one URL in both places, character by character.",
    )
    CLAIM_MISSING = (
        438,
        "RFC 8225 5, RFC 8588 4",
        "A claim that this type of PASSporT must have is missing.",
        "The signing software leaves the claim out when it has no value for it.",
        "Add the claim that is named under `expected`.",
    )
    CLAIM_MALFORMED = (
        438,
        "RFC 8225 5, RFC 8588 4",
        "A claim has the wrong type or form.",
        "A number was written as text, dest.tn is not an array, or an object was serialised twice.",
        "Write the claim as shown under `expected`.",
    )
    STALE_DATE = (
        403,
        "RFC 8224 6.2 step 4",
        "The PASSporT was signed too long ago, or in the future.",
        "A clock is wrong (look at NTP first), or the call waited or was replayed.",
        "Set both clocks by NTP; sign at the moment the request is sent.",
    )
    CREDENTIAL_UNAVAILABLE = (
        436,
        "RFC 8224 6.2.2",
        "The certificate could not be fetched.",
        "The repository is down, slow, or answers with an error.",
        "Fetch the x5u URL by hand from outside; check DNS, TLS and the file.",
    )
    CREDENTIAL_MALFORMED = (
        437,
        "RFC 5280 4.1, RFC 8226 9",
        "What x5u serves is not a usable certificate chain.",
        "An HTML page, an empty file or a broken certificate is served.",
        "Serve the PEM chain, the signing certificate first.",
    )
    CREDENTIAL_KEY = (
        437,
        "RFC 8588 5, ATIS-1000080 6.4",
        "The certificate's key is not an EC key on curve P-256.",
        "An RSA or P-384 key was used for the certificate request.",
        "Request a certificate for a P-256 key.",
    )
    CREDENTIAL_KEY_USAGE = (
        437,
        "RFC 5280 4.2.1.3, ATIS-1000080 6.4",
        "The certificate may not sign PASSporTs by its key usage.",
        "A CA or TLS certificate is used for signing.",
        "Request an STI certificate with key usage digitalSignature.",
    )
    CREDENTIAL_EXPIRED = (
        437,
        "RFC 5280 4.1.2.5",
        "The certificate has expired.",
        "The renewal job failed, or x5u still points to the old file.",
        "Renew the certificate and publish it under a new URL.",
    )
    CREDENTIAL_NOT_YET_VALID = (
        437,
        "RFC 5280 4.1.2.5",
        "The certificate is not valid yet.",
        "It was put to use before its notBefore, or a clock is behind.",
        "Wait until notBefore, or correct the clock.",
    )
    CREDENTIAL_EXTENSION = (
        437,
        "RFC 5280 4.2",
        "The certificate has a critical extension that is not understood.",
        "The certificate was issued under another profile.",
        "Request a certificate by the STI profile.",
    )
    CHAIN_UNTRUSTED = (
        437,
        "RFC 5280 6.1, ATIS-1000084",
        "No path leads from the certificate to a trusted root.",
        "The intermediate is missing from the file, or the CA is not on the trust list.",
        "Serve the whole chain, or add the CA's root to the trust anchors.",
    )
    CHAIN_SIGNATURE = (
        437,
        "RFC 5280 6.1.3",
        "A certificate's signature does not verify with its issuer's key.",
        "Two authorities share a name, or the chain was put together by hand.",
        "Serve the chain exactly as the CA handed it out.",
    )
    CHAIN_NOT_CA = (
        437,
        "RFC 5280 4.2.1.9",
        "A certificate in the chain was issued by one that is not an authority.",
        "A customer's certificate was used to issue another one.",
        "Get the certificate from an authority, or a delegate authority with CA:TRUE.",
    )
    CHAIN_EXPIRED = (
        437,
        "RFC 5280 6.1.3",
        "An issuer in the chain is not valid at this time.",
        "An old intermediate or root is still served or configured.",
        "Replace the issuer's certificate with the current one.",
    )
    CHAIN_TOO_LONG = (
        437,
        "RFC 5280 6.1.4",
        "The chain is longer than an issuer or this service permits.",
        "A sub-authority was created below one with a path length of zero.",
        "Issue from an authority whose path length allows it.",
    )
    CHAIN_NAME_CONSTRAINTS = (
        437,
        "RFC 5280 4.2.1.10",
        "A name in the certificate is outside what its issuer may certify.",
        "The certificate was issued for a domain or subject that is not the authority's.",
        "Request the certificate from an authority for that name.",
    )
    AUTHORITY_MISSING = (
        437,
        "RFC 8226 9",
        "The certificate has no TNAuthList, so it gives no right to any number.",
        "A TLS or test certificate is used for signing.",
        "Request an STI certificate with a TNAuthList.",
    )
    AUTHORITY_MALFORMED = (
        437,
        "RFC 8226 9",
        "The certificate's TNAuthList cannot be read.",
        "The extension was written as text or with implicit tags.",
        "Encode the TNAuthList as RFC 8226 section 9 defines it.",
    )
    AUTHORITY_NOT_COVERED = (
        437,
        "RFC 8226 9, RFC 8224 6.2 step 2",
        "The TNAuthList does not cover the originating number.",
        "The call was signed with the certificate of another customer or number block.",
        "Sign with a certificate whose TNAuthList covers `orig`.",
    )
    AUTHORITY_CODE_REFUSED = (
        437,
        "RFC 8226 9; local policy",
        "The certificate names only service provider codes that policy does not accept.",
        "The provider is not known here, or the number belongs to another provider.",
        "Accept the code by policy, or ask for a certificate that names numbers.",
    )
    AUTHORITY_NOT_ENCOMPASSED = (
        437,
        "RFC 9060 4",
        "A delegate certificate claims numbers that its issuer does not hold.",
        "The delegate's TNAuthList is wider than its parent's.",
        "Issue the delegate certificate for numbers within its parent's list.",
    )
    SIGNATURE_INVALID = (
        438,
        "RFC 8224 6.2 step 5, RFC 7515 5.2",
        "The signature does not verify with the credential's key.",
        "The key and the certificate at x5u are not a pair, or the token was altered on the way.",
        "Check the key against the certificate; look for a hop that rewrites the header.",
    )
    ORIGINATOR_MISMATCH = (
        438,
        "RFC 8224 6.2 step 3",
        "The orig claim is neither the P-Asserted-Identity nor the From number.",
        "From is anonymous or was rewritten after signing, or a number is in national format.",
        "Sign the number that is sent, in full international digits.",
    )
    DESTINATION_MISMATCH = (
        438,
        "RFC 8224 6.2 step 3",
        "The dest claim does not hold the called number.",
        "The call was forwarded or its number translated after signing, without a div PASSporT.",
        "Sign after number translation, or add a div PASSporT when retargeting.",
    )
    MEDIA_KEYS_MISMATCH = (
        438,
        "RFC 8225 5.2.2, RFC 8862 4",
        "The SDP offers a key fingerprint that the mky claim does not hold.",
        "A media gateway replaced the fingerprint after signing.",
        "Sign after the last change of the SDP, or let media pass end to end.",
    )
    MEDIA_KEYS_MISSING = (
        438,
        "RFC 8224 4.1",
        "The SDP has key fingerprints and the PASSporT has no mky claim.",
        "The signing software does not bind media keys.",
        "Add the mky claim, or do not require it of this peer.",
    )
    REPLAYED = (
        438,
        "RFC 8224 12.1",
        "This very PASSporT was already used by another call.",
        "The token was copied, or the signer caches tokens between calls.",
        "Sign every call afresh.",
    )


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

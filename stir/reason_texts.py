"""What each Reason means, what the peer probably did, and what to do: the words for people."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class ReasonText(NamedTuple):
    """One sentence each, for whoever runs a gateway."""

    prose: str
    mistake: str
    fix: str


TEXTS: Final[Mapping[str, ReasonText]] = MappingProxyType(
    {
        "IDENTITY_MISSING": ReasonText(
            "The request carries no Identity header field.",
            "The peer does not sign, or a switch in between removed the header.",
            "Sign the request, or ask every hop to pass Identity on unchanged.",
        ),
        "TOO_MANY_IDENTITIES": ReasonText(
            "The request carries more or larger Identity header fields than are looked at.",
            "A loop added a header at every turn, or somebody is probing.",
            "Send fewer Identity header fields, or raise the limit for this peer.",
        ),
        "IDENTITY_MALFORMED": ReasonText(
            "The Identity header field does not follow its grammar.",
            "A parameter lost its semicolon, or info its angle brackets.",
            "Send `token;info=<https://...>;alg=ES256;ppt=shaken`.",
        ),
        "PASSPORT_MALFORMED": ReasonText(
            "The token is not a PASSporT: three base64url parts with strict JSON inside.",
            "The token was cut, wrapped, padded or built by hand.",
            "Build the token with a JOSE library and copy it whole.",
        ),
        "COMPACT_FORM_UNUSABLE": ReasonText(
            "The compact form cannot be rebuilt from this request.",
            "There is no Date header field, or the extension has claims the request does not hold.",
            "Send the full form of the PASSporT.",
        ),
        "WRONG_TYPE": ReasonText(
            "The token's typ is not `passport`.",
            "Another kind of JWT (an SPC token, a bearer token) was put into the Identity header.",
            "Send a PASSporT: `typ` must be `passport`.",
        ),
        "CRITICAL_HEADER": ReasonText(
            "The token marks header parameters as critical that nobody here understands.",
            "The signer uses a JOSE extension that PASSporTs do not have.",
            "Sign without the `crit` header parameter.",
        ),
        "EMBEDDED_KEY": ReasonText(
            "The token brings or names its own key; only x5u may name the credential.",
            "A general JOSE library added jwk, jku, kid, x5c or x5t by default.",
            "Sign with `alg`, `ppt`, `typ` and `x5u` only.",
        ),
        "UNSUPPORTED_PPT": ReasonText(
            "The PASSporT type is not supported; the header field is not considered.",
            "The peer sent an extension without a base or SHAKEN PASSporT beside it.",
            "Send a `shaken` PASSporT as well.",
        ),
        "PPT_MISMATCH": ReasonText(
            "The ppt parameter of the header field and of the token differ.",
            "The token was put into a header field made for another one.",
            "Use the token's own ppt in the Identity header field.",
        ),
        "UNSUPPORTED_ALGORITHM": ReasonText(
            "The signature algorithm is not ES256.",
            "The signing software was configured with another algorithm or key type.",
            "Sign with ES256 and a P-256 key.",
        ),
        "INFO_MISSING": ReasonText(
            "The token has no x5u to find the credential by.",
            "The signer left the certificate URL out.",
            "Put the https URL of the certificate into `x5u` and into `info`.",
        ),
        "INFO_REFUSED": ReasonText(
            "The credential URL is not one this service will fetch.",
            "The URL is plain http, uses another port, or carries user information or a query.",
            "Publish the certificate at an https URL on port 443 or 8443.",
        ),
        "INFO_MISMATCH": ReasonText(
            "The info parameter is not the token's x5u.",
            "A header from one signing run was joined with a token from another.",
            "Use one URL in both places, character by character.",
        ),
        "CLAIM_MISSING": ReasonText(
            "A claim that this type of PASSporT must have is missing.",
            "The signing software leaves the claim out when it has no value for it.",
            "Add the claim that is named under `expected`.",
        ),
        "CLAIM_MALFORMED": ReasonText(
            "A claim has the wrong type or form.",
            "A number was written as text, dest.tn is no array, or an object was serialised twice.",
            "Write the claim as shown under `expected`.",
        ),
        "STALE_DATE": ReasonText(
            "The PASSporT was signed too long ago, or in the future.",
            "A clock is wrong (look at NTP first), or the call waited or was replayed.",
            "Set both clocks by NTP; sign at the moment the request is sent.",
        ),
        "CREDENTIAL_UNAVAILABLE": ReasonText(
            "The certificate could not be fetched.",
            "The repository is down, slow, or answers with an error.",
            "Fetch the x5u URL by hand from outside; check DNS, TLS and the file.",
        ),
        "CREDENTIAL_MALFORMED": ReasonText(
            "What x5u serves is not a usable certificate chain.",
            "An HTML page, an empty file or a broken certificate is served.",
            "Serve the PEM chain, the signing certificate first.",
        ),
        "CREDENTIAL_KEY": ReasonText(
            "The certificate's key is not an EC key on curve P-256.",
            "An RSA or P-384 key was used for the certificate request.",
            "Request a certificate for a P-256 key.",
        ),
        "CREDENTIAL_KEY_USAGE": ReasonText(
            "The certificate may not sign PASSporTs by its key usage.",
            "A CA or TLS certificate is used for signing.",
            "Request an STI certificate with key usage digitalSignature.",
        ),
        "CREDENTIAL_EXPIRED": ReasonText(
            "The certificate has expired.",
            "The renewal job failed, or x5u still points to the old file.",
            "Renew the certificate and publish it under a new URL.",
        ),
        "CREDENTIAL_NOT_YET_VALID": ReasonText(
            "The certificate is not valid yet.",
            "It was put to use before its notBefore, or a clock is behind.",
            "Wait until notBefore, or correct the clock.",
        ),
        "CREDENTIAL_EXTENSION": ReasonText(
            "The certificate has a critical extension that is not understood.",
            "The certificate was issued under another profile.",
            "Request a certificate by the STI profile.",
        ),
        "CHAIN_UNTRUSTED": ReasonText(
            "No path leads from the certificate to a trusted root.",
            "The intermediate is missing from the file, or the CA is not on the trust list.",
            "Serve the whole chain, or add the CA's root to the trust anchors.",
        ),
        "CHAIN_SIGNATURE": ReasonText(
            "A certificate's signature does not verify with its issuer's key.",
            "Two authorities share a name, or the chain was put together by hand.",
            "Serve the chain exactly as the CA handed it out.",
        ),
        "CHAIN_NOT_CA": ReasonText(
            "A certificate in the chain was issued by one that is not an authority.",
            "A customer's certificate was used to issue another one.",
            "Get the certificate from an authority, or a delegate authority with CA:TRUE.",
        ),
        "CHAIN_EXPIRED": ReasonText(
            "An issuer in the chain is not valid at this time.",
            "An old intermediate or root is still served or configured.",
            "Replace the issuer's certificate with the current one.",
        ),
        "CHAIN_TOO_LONG": ReasonText(
            "The chain is longer than an issuer or this service permits.",
            "A sub-authority was created below one with a path length of zero.",
            "Issue from an authority whose path length allows it.",
        ),
        "CHAIN_NAME_CONSTRAINTS": ReasonText(
            "A name in the certificate is outside what its issuer may certify.",
            "The certificate was issued for a domain or subject that is not the authority's.",
            "Request the certificate from an authority for that name.",
        ),
        "AUTHORITY_MISSING": ReasonText(
            "The certificate has no TNAuthList, so it gives no right to any number.",
            "A TLS or test certificate is used for signing.",
            "Request an STI certificate with a TNAuthList.",
        ),
        "AUTHORITY_MALFORMED": ReasonText(
            "The certificate's TNAuthList cannot be read.",
            "The extension was written as text or with implicit tags.",
            "Encode the TNAuthList as RFC 8226 section 9 defines it.",
        ),
        "AUTHORITY_NOT_COVERED": ReasonText(
            "The TNAuthList does not cover the originating number.",
            "The call was signed with the certificate of another customer or number block.",
            "Sign with a certificate whose TNAuthList covers `orig`.",
        ),
        "AUTHORITY_CODE_REFUSED": ReasonText(
            "The certificate names only service provider codes that policy does not accept.",
            "The provider is not known here, or the number belongs to another provider.",
            "Accept the code by policy, or ask for a certificate that names numbers.",
        ),
        "AUTHORITY_NOT_ENCOMPASSED": ReasonText(
            "A delegate certificate claims numbers that its issuer does not hold.",
            "The delegate's TNAuthList is wider than its parent's.",
            "Issue the delegate certificate for numbers within its parent's list.",
        ),
        "SIGNATURE_INVALID": ReasonText(
            "The signature does not verify with the credential's key.",
            "Key and certificate at x5u are not a pair, or the token was altered on the way.",
            "Check the key against the certificate; look for a hop that rewrites the header.",
        ),
        "ORIGINATOR_MISMATCH": ReasonText(
            "The orig claim is neither the P-Asserted-Identity nor the From number.",
            "From is anonymous or was rewritten after signing, or a number is in national format.",
            "Sign the number that is sent, in full international digits.",
        ),
        "DESTINATION_MISMATCH": ReasonText(
            "The dest claim does not hold the called number.",
            "The call was forwarded or its number translated after signing, without div PASSporT.",
            "Sign after number translation, or add a div PASSporT when retargeting.",
        ),
        "MEDIA_KEYS_MISMATCH": ReasonText(
            "The SDP offers a key fingerprint that the mky claim does not hold.",
            "A media gateway replaced the fingerprint after signing.",
            "Sign after the last change of the SDP, or let media pass end to end.",
        ),
        "MEDIA_KEYS_MISSING": ReasonText(
            "The SDP has key fingerprints and the PASSporT has no mky claim.",
            "The signing software does not bind media keys.",
            "Add the mky claim, or do not require it of this peer.",
        ),
        "REPLAYED": ReasonText(
            "This very PASSporT was already used by another call.",
            "The token was copied, or the signer caches tokens between calls.",
            "Sign every call afresh.",
        ),
        "DIVERSION_WITHOUT_ORIGINAL": ReasonText(
            "A div PASSporT came without the PASSporT of the original call.",
            "A hop removed the first Identity header field, or signed the diversion only.",
            "Pass the Identity header fields of the received request on and add div to them.",
        ),
        "DIVERSION_BROKEN": ReasonText(
            "The div PASSporTs do not lead from the original destination to the called number.",
            "A hop in between retargeted the call without signing it, or signed another number.",
            "Sign every change of the destination: `div` is the old one, `dest` the new one.",
        ),
        "DIVERSION_LOOP": ReasonText(
            "The div PASSporTs lead back to a number the call has already left.",
            "Two users forward to each other.",
            "End the forwarding loop before the call is sent on.",
        ),
        "DIVERSION_TOO_LONG": ReasonText(
            "The call was diverted more often than is looked at.",
            "Users forward to each other in turn, or somebody is probing.",
            "Divert a call at most as often as the limit says.",
        ),
        "DIVERSION_ORIGINAL_FAILED": ReasonText(
            "The PASSporT of the original call is not valid, so its diversion proves nothing.",
            "A diverting hop signed on top of a call it had not verified.",
            "Verify the received request before a div PASSporT is added to it.",
        ),
        "RESOURCE_PRIORITY_MISMATCH": ReasonText(
            "The rph claim is not what the Resource-Priority header field says.",
            "The header field was added or changed after signing.",
            "Sign the Resource-Priority header field as it is sent.",
        ),
        "PRIORITY_AUTHORITY": ReasonText(
            "The signer has no authority over the priority namespace of the rph claim.",
            "The provider signs a priority it may not grant, or is not yet known here.",
            "Name the provider as an authority of the namespace, if it is one.",
        ),
        "PRIORITY_MISMATCH": ReasonText(
            "The sph claim is not what the Priority header field says.",
            "The header field was added or changed after signing.",
            "Sign the Priority header field as it is sent.",
        ),
        "CALLER_NAME_MISMATCH": ReasonText(
            "The rcd claim is not what the request shows of the caller.",
            "The display name or Call-Info was rewritten after signing.",
            "Sign the display name and Call-Info that are sent.",
        ),
        "CALLER_DATA_INTEGRITY": ReasonText(
            "Rich call data is not what its rcdi digest says.",
            "The linked file changed after the digest was made.",
            "Make the digest again, and change the URL whenever the file changes.",
        ),
        "CALLER_DATA_UNAVAILABLE": ReasonText(
            "Rich call data that a digest protects could not be fetched.",
            "The server of the logo or card is down or slow.",
            "Serve the file at an https URL that answers at once.",
        ),
        "MESSAGE_DIGEST_MISMATCH": ReasonText(
            "The msgi claim is not the digest of the message that came.",
            "A hop changed the body or its Content-Type after signing.",
            "Sign the body as it is sent and let nobody rewrite it.",
        ),
        "MESSAGE_DIGEST_MISSING": ReasonText(
            "The msg PASSporT does not say which message it is for.",
            "The signing software left msgi out.",
            "Add the msgi claim over the body of the MESSAGE.",
        ),
        "METHOD_MISMATCH": ReasonText(
            "This type of PASSporT has no meaning in a request of this method.",
            "A token made for a call was put into a message, or the other way round.",
            "Sign the request with a type made for its method.",
        ),
        "CLAIM_NOT_PERMITTED": ReasonText(
            "The certificate does not permit the PASSporT to carry, or leave out, this claim.",
            "The token was signed with a certificate that is constrained to other claims.",
            "Sign within the certificate's JWTClaimConstraints, or request another one.",
        ),
        "CONSTRAINTS_MALFORMED": ReasonText(
            "The certificate's claim constraints cannot be read.",
            "The extension was written by hand.",
            "Encode it as RFC 8226 section 8 or RFC 9118 section 4 defines it.",
        ),
        "AUTHORITY_UNAVAILABLE": ReasonText(
            "The certificate refers to a TNAuthList that could not be fetched.",
            "The authority's server is down, or the link goes nowhere.",
            "Fetch the link of the certificate's authority information access by hand.",
        ),
        "CREDENTIAL_REVOKED": ReasonText(
            "A certificate of the chain has been revoked.",
            "The key was reported as lost, or the right to the numbers has ended.",
            "Request a new certificate with a new key.",
        ),
        "REVOCATION_UNAVAILABLE": ReasonText(
            "Whether the certificate is revoked is unknown: the list is too old or not to be had.",
            "The list's server is down, or nobody publishes a new list.",
            "Publish a current revocation list; look at its nextUpdate.",
        ),
        "REMOTE_UNAVAILABLE": ReasonText(
            "The verification service that this gateway asks gave no validation.",
            "Nothing is known against the peer: the service is down, slow or could not decide.",
            "Look at the service's instances and their circuit breakers.",
        ),
        "REMOTE_CREDENTIAL": ReasonText(
            "The verification service that this gateway asks refuses the certificate.",
            "The peer signs with a certificate that is expired, revoked or not trusted there.",
            "Read the reason the service gives; ask the peer for another certificate.",
        ),
        "REMOTE_INVALID": ReasonText(
            "The verification service that this gateway asks finds the PASSporT invalid.",
            "The PASSporT is for another call, or was changed on the way.",
            "Read the reason the service gives; verify the same header with `stir explain`.",
        ),
        "TRANSPARENCY_MISSING": ReasonText(
            "The certificate was not shown to enough transparency logs.",
            "The authority issues without logging.",
            "Request a certificate with signed certificate timestamps.",
        ),
        "TRANSPARENCY_INVALID": ReasonText(
            "A signed certificate timestamp does not verify.",
            "The timestamp belongs to another certificate or log.",
            "Request the certificate again, with timestamps of its own.",
        ),
    }
)

"""TNAuthLists by reference: fetched under the same guard as the certificates that name them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.http.fetch import FetchFailed, FetchRefused, GuardedClient
from stir.certificates.cache_control import lifetime
from stir.certificates.certificate import Credential, CredentialUnavailable, with_tn_auth_lists

_log = structlog.get_logger("credentials")
_ACCEPT: Final = "*/*"


@dataclass(frozen=True, slots=True)
class Completed:
    """A credential with its lists; `whole` is False where one of them could not be fetched.

    `cache_control` is that of the list to be fetched again first, None where there is none.
    """

    credential: Credential
    whole: bool
    cache_control: str | None


async def complete(credential: Credential, client: GuardedClient, now: float) -> Completed:
    """Fetch the lists a credential refers to, at most 3, side by side (RFC 8226 section 10.1).

    Never raises: a list that could not be fetched leaves AUTHORITY_UNAVAILABLE. `now` is in epoch
    seconds.
    """
    urls = credential.references
    answers = await asyncio.gather(*(_fetch(url, client) for url in urls))
    found = {url: got for url, (got, _) in zip(urls, answers, strict=True)}
    controls = [control for got, control in answers if isinstance(got, bytes)]
    controls.sort(key=lambda control: lifetime(control, credential.not_after, now))
    return Completed(
        with_tn_auth_lists(credential, found),
        whole=len(controls) == len(urls),
        cache_control=controls[0] if controls else None,
    )


def sooner(cache_control: str | None, completed: Completed, now: float) -> str | None:
    """Return the field of the certificate or of its lists, whichever ends sooner."""
    not_after, other = completed.credential.not_after, completed.cache_control
    ours = lifetime(cache_control, not_after, now)
    return cache_control if ours <= lifetime(other, not_after, now) else other


async def _fetch(
    url: str, client: GuardedClient
) -> tuple[bytes | CredentialUnavailable, str | None]:
    why: CredentialUnavailable
    try:
        fetched = await client.get(url, accept=_ACCEPT)
    except FetchFailed as error:
        why = CredentialUnavailable(f"{error.reason}: {error.detail}", error.culprit)
    except FetchRefused as error:
        why = CredentialUnavailable(f"refused by our guard: {error.detail}", error.culprit)
    else:
        if fetched.status == 200:
            return fetched.body, fetched.headers.get("cache-control")
        why = CredentialUnavailable(f"HTTP status {fetched.status}", url.split("/", 3)[2])
    _log.warning("TNAuthList unavailable", culprit=why.culprit, detail=why.detail)
    return why, None

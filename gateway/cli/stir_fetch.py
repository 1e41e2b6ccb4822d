"""Fetching the certificates that PASSporTs name, under the gateway's own guard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from gateway.config import Config
from gateway.dns import DnsResolver, DnsSettings, system_nameservers
from gateway.http.fetch import FetchFailed, FetchRefused, GuardedClient
from gateway.http.tn_auth_lists import complete
from gateway.services import make_fetch_client, make_resolver
from stir.certificates.certificate import (
    Credential,
    CredentialUnavailable,
    MalformedCredential,
    load_credential,
)
from stir.reason import Reason

MAX_URLS = 256


def fetch_credentials(
    urls: Iterable[str | None], config: Config | None
) -> dict[str, Credential | CredentialUnavailable]:
    """Fetch each URL once, at most 256 of them; what cannot be had says why.

    Without a configuration the system's name servers and TLS trust are used, and no
    special-purpose address is connected to.
    """
    wanted = list(dict.fromkeys(url for url in urls if url is not None))
    return asyncio.run(_fetch_all(wanted, config)) if wanted else {}


async def _fetch_all(
    urls: list[str], config: Config | None
) -> dict[str, Credential | CredentialUnavailable]:
    if config is None:
        resolver = DnsResolver(DnsSettings(nameservers=system_nameservers()))
        client = GuardedClient(resolver)
    else:
        resolver = make_resolver(config)
        client = make_fetch_client(config, resolver)
    try:
        found = await asyncio.gather(*(_fetch(client, url) for url in urls[:MAX_URLS]))
    finally:
        await resolver.close()
    too_many = CredentialUnavailable(f"more than {MAX_URLS} different URLs", "this command")
    return dict(zip(urls, (*found, *[too_many] * (len(urls) - len(found))), strict=True))


async def _fetch(client: GuardedClient, url: str) -> Credential | CredentialUnavailable:
    host = url.split("/", 3)[2]
    try:
        answer = await client.get(url, accept="application/pem-certificate-chain, */*")
    except (FetchFailed, FetchRefused) as error:
        return CredentialUnavailable(f"{error.reason}: {error.detail}", error.culprit)
    if answer.status != 200:
        return CredentialUnavailable(f"HTTP status {answer.status}", host)
    try:
        credential = load_credential(answer.body)
    except MalformedCredential as error:
        return CredentialUnavailable(str(error), host, Reason.CREDENTIAL_MALFORMED)
    if credential.references:
        return (await complete(credential, client, time.time())).credential
    return credential

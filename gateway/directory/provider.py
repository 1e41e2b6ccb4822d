"""What the provider of a number, or the operator of a mail domain, does: remove an identifier."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from discovery.directory.identifier import Identifier
from discovery.directory.statements import Removal, sign_removal
from gateway.directory.keys import EcSigner, chain_texts
from gateway.http.fetch import FetchFailed
from gateway.http.service_client import ServiceClient
from stir.certificates.certificate import (
    KeyMismatch,
    MalformedCredential,
    load_certificates,
    load_private_key,
    match_key,
)

_TIMEOUT: Final = 15.0


class ProviderFailed(Exception):
    """A removal was not made; the text says whose fault that is."""


@dataclass(frozen=True, slots=True)
class NumberProvider:
    """Who assigns identifiers: a key, and its chain (base64 DER, the leaf first)."""

    signer: EcSigner = field(repr=False)
    chain: tuple[str, ...] = field(repr=False)

    @classmethod
    def read(cls, key: Path, certificate: Path) -> NumberProvider:
        """Read key and chain from PEM files; raises ProviderFailed."""
        try:
            private, pem = load_private_key(key.read_bytes()), certificate.read_bytes()
            match_key(private, load_certificates(pem)[0])
            return cls(EcSigner(private), chain_texts(pem))
        except OSError as error:
            raise ProviderFailed(f"{error.filename}: {error.strerror}") from None
        except (MalformedCredential, KeyMismatch) as error:
            raise ProviderFailed(f"{key} and {certificate}: {error}") from None

    async def remove(
        self, client: ServiceClient, directory: str, csi: Identifier, now: float
    ) -> None:
        """Take an identifier out of a directory, and end what an authority beside it has certified.

        now: epoch seconds. Raises ProviderFailed.
        """
        token = sign_removal(Removal(directory, csi, int(now), int(now)), self.signer)
        body = json.dumps({"removal": token, "chain": list(self.chain)}).encode()
        host = directory.split("/", 3)[2]
        try:
            reply = await client.request(
                "DELETE",
                f"{directory}/dp/v1/records",
                timeout=_TIMEOUT,
                headers={"Content-Type": "application/json"},
                body=body,
            )
        except FetchFailed as failed:
            raise ProviderFailed(str(failed)) from None
        if reply.status not in (200, 204):
            raise ProviderFailed(f"{host}: {_detail(reply.body)} (HTTP {reply.status})")


def _detail(body: bytes) -> str:
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        return "refused"
    detail = problem.get("detail") if isinstance(problem, dict) else None
    return detail if isinstance(detail, str) else "refused"

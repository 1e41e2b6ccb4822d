"""The last good list of trusted STI-CAs, in the state directory."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from stir.certificates.trust_list import (
    MAX_LIST,
    TrustList,
    TrustListRefused,
    open_trust_list,
    read_trust_list,
)

NAME: Final = "trust-list.json"
_MAX_FILE: Final = MAX_LIST + 131_072


@dataclass(frozen=True, slots=True)
class KeptList:
    """A list that was good at `fetched` (epoch seconds), with its signer's chain in PEM."""

    trust_list: TrustList
    fetched: float
    chain: bytes | None = None

    def usable_until(self, keep_stale: float) -> float:
        """When it must not be used any more, epoch seconds; `keep_stale` in seconds."""
        expires = self.trust_list.expires
        return (self.fetched if expires is None else expires) + keep_stale


def save_list(directory: Path, kept: KeptList) -> None:
    """Replace the file as a whole; raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / NAME
    chain = None if kept.chain is None else kept.chain.decode("ascii")
    text = json.dumps({"fetched": kept.fetched, "jws": kept.trust_list.jws, "chain": chain})
    partial = path.with_suffix(f".{os.getpid()}.new")
    partial.write_text(text, encoding="ascii")
    partial.replace(path)


def load_list(directory: Path, administrator: Sequence[x509.Certificate]) -> KeptList | None:
    """Read the file again and check its signature, as of when it was fetched.

    None where there is none; raises TrustListRefused where it is damaged or signed by another.
    """
    path = directory / NAME
    try:
        if path.stat().st_size > _MAX_FILE:
            raise TrustListRefused(f"{path} is larger than {_MAX_FILE} octets")
        kept = json.loads(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, TrustListRefused):
            raise
        raise TrustListRefused(f"{path} cannot be read") from None
    fetched, jws, chain = (
        (kept.get(name) for name in ("fetched", "jws", "chain"))
        if isinstance(kept, dict)
        else (None, None, None)
    )
    if not (isinstance(fetched, float | int) and isinstance(jws, str) and 0 <= fetched < 2**53):
        raise TrustListRefused(f"{path} is damaged")
    pem = chain.encode("ascii", "replace") if isinstance(chain, str) else None
    signed = open_trust_list(jws.encode("ascii", "replace"))
    found = read_trust_list(signed, administrator, fetched, chain=pem, expired=True)
    return KeptList(found, float(fetched), pem)

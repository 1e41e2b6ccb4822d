"""What `spingate check` says of the list of trusted STI-CAs, and the roots it adds."""

from __future__ import annotations

import time

from cryptography import x509

from gateway.config.root import Config
from gateway.finding import Finding, until
from gateway.keys import Keys
from gateway.trust_list_file import load_list
from stir.certificates.trust_list import TrustListRefused

_NAME = "trust list"
_IMPORT = "start the gateway, which fetches it, or run `spingate cert trust-list import`"


def kept_trust_list(
    config: Config, keys: Keys
) -> tuple[Finding | None, tuple[x509.Certificate, ...]]:
    """Return what is to be said of the kept list, None without [stir.trust_list], and its roots."""
    settings = config.stir.trust_list
    if settings is None:
        return None, ()
    try:
        kept = load_list(config.provider.state_directory, keys.trust_list_administrator)
    except TrustListRefused as error:
        return Finding(_NAME, "failed", str(error), _IMPORT), ()
    if kept is None:
        return Finding(_NAME, "skipped", f"none was taken yet: {_IMPORT}"), ()
    found, now = kept.trust_list, time.time()
    ends = kept.usable_until(settings.keep_stale_seconds)
    what = f"sequence {found.sequence}, {len(found.anchors)} roots"
    finding = until(_NAME, what, found.expires or ends, now, _IMPORT)
    return finding, found.anchors if now <= ends else ()

"""The two-provider scene in which alpha renews its certificate over ACME every few seconds."""

from __future__ import annotations

import time
from pathlib import Path

from gateway.demo.dns import Record
from gateway.http.listener import HttpListener
from gateway.services import server_context
from stir.certificates.issuing import issue_tls_certificate
from tests.support.acme_authority import AcmeAuthority
from tests.support.acme_resources import Temper
from tests.support.token_authority import TokenAuthority
from tests.support.troubled_scene import TroubledScene

_HOST = "acme.sti-ca.example"
_LAST_OCTET = 45
_ACME = """
[stir.acme]
directory = "https://{host}:8443/directory"
publish_url = "https://certs.sti-ca.example:8443/certs/"
publish_directory = "{certs}"
numbers = ["+14155550100-+14155550199"]
dns_names = ["spin.alpha.example"]
agree_terms_of_service = true
trust_anchors = "keys/tls-root.pem"
renew_life_left = {left}
keep_key_seconds = 1.0
publish_timeout_seconds = 5.0
timeout_seconds = 5.0

[stir.acme.token]
url = "https://{host}:8443/api/v1/account/1234/token"
login_url = "https://{host}:8443/api/v1/auth/login"
user = "edge"
password_file = "keys/sti-pa.password"
trust_anchors = "keys/tls-root.pem"
"""


class RenewingScene(TroubledScene):
    """Alpha's certificates live `temper.lifetime` seconds, renewed when `left` of that is left."""

    def __init__(self, folder: Path, temper: Temper, *, left: float = 0.8) -> None:
        text = _ACME.format(host=_HOST, certs=folder / "certs", left=left)
        super().__init__(folder, additions={"alpha": text})
        self._temper = temper

    async def _start_dns(self) -> None:
        await super()._start_dns()
        self.dns.zones.add(Record(_HOST, "A", self.address(_LAST_OCTET)))
        self.tokens = TokenAuthority(time.time)
        keys = self.folder / "alpha" / "keys"
        (keys / "sti-pa.password").write_text(self.tokens.password)
        self.authority = AcmeAuthority(
            self.authorities.sti,
            self.tokens,
            f"https://{_HOST}:8443",
            time.time,
            temper=self._temper,
        )
        issued = issue_tls_certificate(self.authorities.tls, time.time(), dns_names=[_HOST])
        assert issued.key_pem is not None
        certificate, key = self.folder / "ca" / "acme.pem", self.folder / "ca" / "acme.key"
        certificate.write_bytes(issued.chain_pem)
        key.write_bytes(issued.key_pem)
        application = self.tokens.application()
        application.router.add_route("*", "/{path:.*}", self.authority.serve)
        listener = HttpListener(
            application, self.address(_LAST_OCTET), 8443, tls=server_context(certificate, key)
        )
        await listener.start()
        self._stack.push_async_callback(listener.stop)

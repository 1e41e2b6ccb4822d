"""`spingate conformance` run as a command against what a scene has, its certificates served."""

from __future__ import annotations

import secrets
import time
from typing import Any

from gateway.demo.dns import Record
from gateway.demo.scene import ALICE
from stir.certificates.issuing import issue_tls_certificate, to_pem
from tests.support.command_line import Said, spingate
from tests.support.troubled_scene import TroubledScene

NAME = "conformance.sti-ca.example"
REPOSITORY = 34


def options(scene: TroubledScene) -> list[str]:
    """The options by which the scene's gateways trust and reach the suite's certificates."""
    folder = scene.folder / "conformance" / secrets.token_hex(4)
    folder.mkdir(parents=True)
    sti = scene.authorities.sti
    tls = issue_tls_certificate(scene.authorities.tls, time.time(), dns_names=[NAME])
    assert tls.key_pem is not None
    files = {
        "authority.pem": to_pem(sti.certificates),
        "authority-key.pem": sti.key_pem,
        "tls.pem": tls.chain_pem,
        "tls.key": tls.key_pem,
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    scene.dns.zones.remove(NAME)
    scene.dns.zones.add(Record(NAME, "A", scene.address(REPOSITORY)))
    # a path of its own each time: a gateway caches what it once fetched
    url = f"https://{NAME}:8443/{folder.name}"
    return [
        *("--from", ALICE, "--serve", f"{scene.address(REPOSITORY)}:8443", "--base-url", url),
        *("--tls-cert", str(folder / "tls.pem"), "--tls-key", str(folder / "tls.key")),
        *("--authority", str(folder), "--pause", "0"),
    ]


async def conformance(*arguments: object) -> tuple[Said, dict[str, dict[str, Any]]]:
    """Run the command; gives what it said, and the outcome of each case by name."""
    said = await spingate("conformance", *arguments, "--json", timeout=180)
    return said, {each["case"]: each for each in said.objects}

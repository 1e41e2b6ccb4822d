"""What a directory adds to the scene: a call found in it, and three numbers with their proof."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any, Final

from cryptography import x509

from discovery.directory.merging import ProvenRecord
from discovery.log.checkpoint import parse_checkpoint
from discovery.log.cosignature import WitnessKey, cosignatures, parse_witness
from discovery.log.logged import parse_proof
from gateway.demo.directory import URL
from gateway.demo.directory_report import DirectoryReport
from gateway.demo.directory_scene import (
    OPTED_OUT,
    RECORDS,
    TWO_PROVIDERS,
    DirectoryScene,
)
from gateway.demo.oblivious import ISSUER_URL, RELAY_URL
from gateway.demo.process import SceneError
from gateway.demo.scene import ALICE, BOB
from gateway.demo.verified_call import ended_call
from gateway.softphone.phone import SoftphoneError
from stir.certificates.certificate import load_credential
from stir.certificates.issuing import to_pem
from stir.certificates.tn_auth_list import One

# One second of G.711 with 20 ms a packet: the first call has shown the media.
_TALK_PACKETS: Final = 50
_ANSWERED: Final = 'spingate_directory_oblivious_lookups_total{outcome="answered"}'


async def directory_call(scene: DirectoryScene) -> DirectoryReport:
    """Let owners register, then call Alice from Bob's phone, found in the directory.

    Raises SceneError, SoftphoneError.
    """
    owners = await scene.register_owners()
    messages_before = len(scene.smsc.history)
    lookups_before = await scene.beta.metric(_ANSWERED)
    call = await _call(scene)
    lookups = int(await scene.beta.metric(_ANSWERED) - lookups_before)
    sms = len(scene.smsc.history) - messages_before
    proofs = await _proofs(scene)
    opted_out = await scene.alpha.discover(OPTED_OUT, ALICE)
    preferred = await scene.alpha.discover(TWO_PROVIDERS, ALICE)
    sources = [each["source"] for each in call["discovery"].get("asked", [])]
    uris = [each["uri"] for each in preferred["uris"]]
    maps = proofs[TWO_PROVIDERS]["maps"]
    return DirectoryReport(
        url=URL,
        starting_seconds=scene.starting_seconds,
        owners=[asdict(each) for each in owners],
        call=call | {"sms": sms, "oblivious_lookups": lookups},
        proof=proofs[ALICE],
        opted_out={"number": OPTED_OUT, "discovery": opted_out, **proofs[OPTED_OUT]},
        two_providers={"number": TWO_PROVIDERS, "discovery": preferred, **proofs[TWO_PROVIDERS]},
        parts={
            "owners registered with a code by SMS": all(
                each.state == "live" and each.text for each in owners
            ),
            "second call found in the directory": sources[-1:] == ["directory"],
            "second call without an SMS": sms == 0,
            "second call answered and verified": call["status"] == 200
            and call["verdict"] == "valid",
            "record proven by certificate and log": proofs[ALICE]["logged"],
            "second call's lookup over Oblivious HTTP": lookups == 1,
            "log cosigned by its witness": proofs[ALICE]["cosigned"],
            "opted-out number left alone": opted_out["uris"] == []
            and opted_out["asked"][-1]["outcome"] == "declined",
            "preferred one of two providers chosen": len(maps) == 2 and uris == [maps[0]["uri"]],
        },
    )


async def _call(scene: DirectoryScene) -> dict[str, Any]:
    call = await scene.phones["bob"].call(f"sip:{ALICE}@beta.example")
    answered = None
    try:
        answered = await scene.phones["alice"].next_call()
        await call.reached("confirmed")
        await call.received(_TALK_PACKETS)
        await call.hang_up()
        await call.over()
        await answered.over()
    except SoftphoneError:
        pass  # its record says how it ended
    outbound = await ended_call(scene.beta, call.sip_call_id)
    inbound = await ended_call(scene.alpha, call.sip_call_id)
    rung = outbound.get("ringing")
    return {
        "from": BOB,
        "to": ALICE,
        # It is configured no other way, and the directory takes nothing but tokens.
        "way": "Oblivious HTTP",
        "relay": RELAY_URL,
        "issuer": ISSUER_URL,
        "discovery": outbound.get("discovery") or {"asked": [], "uris": []},
        "next_hop": outbound.get("next_hop"),
        "status": outbound.get("status"),
        "verdict": (inbound.get("verdict") or {}).get("outcome"),
        "setup_seconds": None if rung is None else rung - outbound["started"],
    }


async def _proofs(scene: DirectoryScene) -> dict[str, dict[str, Any]]:
    proofs = {}
    asker = await scene.asker()
    witness = parse_witness(scene.joining.witness)
    for number in RECORDS:
        answer, seconds = await scene.look_up(number, asker)
        if len(answer.records) != 1:
            raise SceneError(f"{URL} has {len(answer.records)} records of {number}")
        shown = {"status": str(answer.status), "seconds": seconds}
        proofs[number] = shown | _proof(answer.records[0], witness)
    return proofs


def _proof(proven: ProvenRecord, witness: WitnessKey) -> dict[str, Any]:
    record, evidence = proven.record, proven.evidence
    leaf, numbers = _certificate(base64.b64decode(evidence.chain[0]))
    shown: dict[str, Any] = {
        "record": record.claims(),
        "maps": sorted((each.claim() for each in record.maps), key=lambda each: each["prio"]),
        "key": proven.thumbprint,
        "certificate": {
            "numbers": numbers,
            "subject": leaf.subject.rfc4514_string(),
            "issuer": leaf.issuer.rfc4514_string(),
            "not_after": int(leaf.not_valid_after_utc.timestamp()),
        },
        "logged": proven.logged,
        "log": None,
        "cosigned": False,
    }
    if evidence.proof is not None:
        inclusion = parse_proof(str(evidence.proof["inclusion"]))
        signed = parse_checkpoint(inclusion.checkpoint)
        checkpoint, found = signed.checkpoint, list(cosignatures(signed, (witness,)))
        shown["cosigned"] = bool(found)
        shown["log"] = {
            "origin": checkpoint.origin,
            "index": inclusion.index,
            "hashes": len(inclusion.path),
            "size": checkpoint.size,
            "root": base64.b64encode(checkpoint.root).decode(),
            "checkpoint": inclusion.checkpoint,
            "witness": str(witness).partition("+")[0],
            "cosigned_at": max((each.at for each in found), default=None),
        }
    return shown


def _certificate(der: bytes) -> tuple[x509.Certificate, list[str]]:
    """Return the owner's certificate and the numbers it names (RFC 8226)."""
    credential = load_credential(to_pem([x509.load_der_x509_certificate(der)]))
    granted = credential.tn_auth_list
    entries = () if granted is None else granted.entries
    numbers = [entry.number for entry in entries if isinstance(entry, One)]
    return credential.certificates[0], numbers

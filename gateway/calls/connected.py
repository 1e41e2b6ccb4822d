"""Who answered: the PASSporT of the called side in a 2xx (draft-ietf-stir-rfc4916-update)."""

from __future__ import annotations

import structlog

from gateway.calls.record import CallRecord
from gateway.calls.wiring import Wiring
from sip.message import Response

_log = structlog.get_logger("spingate.calls")


async def check_connected(wiring: Wiring, record: CallRecord, response: Response) -> None:
    """Verify who answered a call to another provider, and write down what was found.

    Where what was signed does not fit the call, its mapping is forgotten: the next call to the
    number asks the sources again. The call itself goes on; who hangs up are people.
    """
    if record.caller is None or record.called is None:
        return
    verdict = await wiring.identity.verify_response(
        response, orig=record.caller, dest=record.called
    )
    if verdict is None:
        return
    code = verdict.reason.code if verdict.reason is not None else None
    record.connected = {"outcome": verdict.outcome, "reason": code}
    wiring.metrics.connected.labels(code or "valid").inc()
    if verdict.outcome == "invalid":
        wiring.resolver.forget_number(record.called, caller=record.caller)
        _log.warning(
            "somebody else answered, or nobody who can prove it",
            culprit=record.next_hop,
            reason=code,
            call_id=record.call_id,
        )

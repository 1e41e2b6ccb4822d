"""The table of calls, the records of calls, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.calls.record import CallRecord, CallRecordFile
from gateway.calls.state import Call, CallTable, TooManyCalls
from gateway.refusal import CallRefused, final_response, reason_value
from tests.support.call_scene import FROM_ALICE
from tests.support.sip_messages import request


def call(key: str, account: str = "alice", created: float = 0.0) -> Call:
    record = CallRecord("alpha.example", key, "outbound", created)
    return Call(key, key, "a", "outbound", account, created, record, FROM_ALICE)


def test_calls_are_counted_by_account() -> None:
    table = CallTable(10, 60)
    table.add(call("1"))
    table.add(call("2", "bob"))
    with pytest.raises(TooManyCalls) as full:
        table.admit("alice", 1, 403)
    assert full.value.status == 403
    assert table.admit("carol", 1, 403)
    table.remove("1")
    assert table.admit("alice", 1, 403)


def test_the_table_is_bounded_whoever_calls() -> None:
    table = CallTable(1, 60)
    table.add(call("1"))
    with pytest.raises(TooManyCalls) as full:
        table.admit("bob", 10, 403)
    assert full.value.status == 503


def test_a_call_is_removed_once() -> None:
    table = CallTable(10, 60)
    table.add(call("1"))
    assert table.get("1") is not None
    assert table.remove("1") is not None
    assert table.remove("1") is None
    assert table.get("1") is None
    assert len(table) == 0


def test_keys_are_never_the_same() -> None:
    table = CallTable(10, 60)
    assert len({table.admit("a", 10, 403) for _ in range(100)}) == 100


def test_calls_older_than_allowed_are_overdue() -> None:
    table = CallTable(10, 60)
    for number, created in enumerate((0.0, 30.0, 100.0)):
        table.add(call(str(number), created=created))
    assert [each.key for each in table.overdue(59.9)] == []
    assert [each.key for each in table.overdue(95.0)] == ["0", "1"]
    assert len(table.calls()) == 3


def test_a_sides_highest_number_counts() -> None:
    one = call("1")
    for number in (5, 9, 7):
        one.note_request("caller", number)
    assert one.cseqs == {"caller": 9}


def test_records_are_one_json_object_a_line_without_what_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "new" / "calls.jsonl"
    file = CallRecordFile(path)
    record = CallRecord("alpha.example", "1", "outbound", 0.0, status=486)
    file.write(record)
    file.write(record)
    file.close()
    file.write(record)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [record.as_json()] * 2
    assert lines[0] == {
        "gateway": "alpha.example",
        "call_id": "1",
        "direction": "outbound",
        "started": 0.0,
        "status": 486,
    }


def test_without_a_file_nothing_is_written() -> None:
    file = CallRecordFile(None)
    file.write(CallRecord("alpha.example", "1", "outbound", 0.0))
    file.close()
    assert file.lost == 0


def test_a_full_disk_costs_records_only() -> None:
    file = CallRecordFile(Path("/dev/full"))
    file.write(CallRecord("alpha.example", "1", "outbound", 0.0))
    assert file.lost == 1


def test_a_refusal_says_its_reason_and_never_breaks_out_of_it() -> None:
    response = CallRefused(403, 'say "no"\\').response(request())
    assert response.headers.get("Reason") == 'SIP;cause=403;text="say \\"no\\"\\\\"'
    assert response.to.tag
    assert CallRefused(404).response(request()).headers.get("Reason") is None
    assert str(CallRefused(404)) == "404"
    assert str(CallRefused(403, phrase="Stale Date")) == "Stale Date"


def test_a_final_response_keeps_the_tag_there_is() -> None:
    assert final_response(request(to_tag="b1"), 481).to.tag == "b1"
    assert final_response(request(), 200).to.tag != final_response(request(), 200).to.tag
    assert reason_value(480, "x") == 'SIP;cause=480;text="x"'

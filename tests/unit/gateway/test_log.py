"""A log line is one line whatever strangers send, and holds no variable of ours."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from gateway.log import processors

FORMS: tuple[Literal["console", "json"], ...] = ("console", "json")
EVIL = "x\r\n2026-11-21T00:00:00Z [error] forged\x1b[31m\x07\u2028\u0085\u202etxt"


def line(form: Literal["console", "json"], event: str, **values: Any) -> str:
    made: Any = {"event": event, **values}
    for step in processors(form, colors=False):
        made = step(None, "error", made)
    assert isinstance(made, str)
    return made


@pytest.mark.parametrize("form", FORMS)
def test_what_strangers_send_stays_within_one_printable_line(
    form: Literal["console", "json"],
) -> None:
    shown = line(form, f"event {EVIL}", call_id=EVIL, detail=[EVIL], address=(EVIL, 5060))
    assert shown.isascii()
    assert shown.isprintable()


@pytest.mark.parametrize("form", FORMS)
def test_an_exception_is_shown_with_its_place_but_without_variables(
    form: Literal["console", "json"],
) -> None:
    def fails(password: str) -> None:
        raise ValueError(f"in vain {EVIL}")

    try:
        fails("canary " + "of a secret")
    except ValueError:
        shown = line(form, "our own fault", exc_info=True)
    assert "Traceback" in shown
    assert "ValueError: in vain" in shown
    assert "test_log.py" in shown
    assert shown.isprintable()
    assert "canary of a secret" not in shown


def test_an_exception_may_be_given_as_one_or_as_a_triple() -> None:
    error = ValueError("given")
    for given in (error, (ValueError, error, None)):
        assert "ValueError: given" in json.loads(line("json", "event", exc_info=given))["traceback"]
    assert "traceback" not in json.loads(line("json", "event", exc_info=None))


def test_a_long_value_is_cut() -> None:
    assert len(line("json", "event", call_id="a" * 60_000)) < 2_000

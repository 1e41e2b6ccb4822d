"""The ladder of SIP messages of one call, put together from the traces of both gateways."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

_CLOCK: Final = 9
_WIDEST, _NARROWEST = 26, 16


@dataclass(frozen=True, slots=True)
class Step:
    """One message between two neighbours of the scene; `at` in epoch seconds."""

    at: float
    sender: str
    receiver: str
    text: str


def read_trace(path: Path, call_id: str) -> list[dict[str, Any]]:
    """Return the messages of a call that a gateway's trace holds; an absent file holds none."""
    if not path.exists():
        return []
    messages = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                message = json.loads(line)
            except json.JSONDecodeError:
                continue  # the last line is still being written
            if message["call_id"] == call_id:
                messages.append(message)
    return messages


def ladder(traces: Sequence[tuple[str, Path]], parties: Sequence[str], call_id: str) -> list[Step]:
    """Return the call's messages in time order, each once.

    `traces` are (gateway, file) in the order the call runs; `parties` are the columns: the
    caller's phone, the gateways, the callee's phone.
    """
    steps = []
    for index, (gateway, path) in enumerate(traces):
        outward = index == len(traces) - 1
        for message in read_trace(path, call_id):
            access = message["listener"] == "access"
            phone = parties[-1] if outward else parties[0]
            neighbour = phone if access else traces[1 - index][0]
            inward = message["direction"] == "in"
            if inward and not access:
                continue  # the neighbour's trace shows it as sent
            sender, receiver = (neighbour, gateway) if inward else (gateway, neighbour)
            steps.append(Step(message["time"], sender, receiver, _label(message)))
    return sorted(steps, key=lambda step: step.at)


def _label(message: dict[str, Any]) -> str:
    line: str = message["first_line"]
    if line.startswith("SIP/2.0 "):
        return line.removeprefix("SIP/2.0 ")
    parts = [line.partition(" ")[0]]
    text: str = message["message"]
    if "\nIdentity:" in text:
        parts.append("+Identity")
    if "a=fingerprint:" in text:
        parts.append("DTLS-SRTP")
    elif "a=crypto:" in text:
        parts.append("SDES-SRTP")
    elif "\nm=audio" in text:
        parts.append("RTP")
    return " ".join(parts)


def print_ladder(console: Console, steps: Sequence[Step], parties: Sequence[str]) -> None:
    """Draw the ladder for a person, times in milliseconds from the first message."""
    if not steps:
        console.print("[red]no SIP message was seen[/]")
        return
    width = max(_NARROWEST, min(_WIDEST, (console.width - _CLOCK) // len(parties)))
    names = "".join(f"{party[: width - 1]:^{width}}" for party in parties)
    console.print(Text(" " * _CLOCK + names.rstrip(), style="bold"))
    start = steps[0].at
    columns = {party: index for index, party in enumerate(parties)}
    for step in steps:
        console.print(_rung(step, columns, start, width))


def _fitted(text: str, width: int) -> str:
    if len(text) > width:
        text = text.replace(" +Identity", " +ID").replace("-SRTP", "")
    return text if len(text) <= width else text[: width - 1] + "…"


def _rung(step: Step, columns: dict[str, int], start: float, column: int) -> Text:
    left, right = sorted((columns[step.sender], columns[step.receiver]))
    width = (right - left) * column - 1
    label = f" {_fitted(step.text, width - 3)} "[: width - 2]
    arrow = f"{label:─^{width}}"
    forward = columns[step.sender] < columns[step.receiver]
    arrow = arrow[:-1] + "▶" if forward else "◀" + arrow[1:]
    line = "".join(f"{'│':^{column}}" for _ in columns)
    at = left * column + line.index("│") + 1
    line = line[:at] + arrow + line[at + width :]
    style = "green" if step.text[:1] == "2" else "red" if step.text[:1] in "456" else "cyan"
    text = Text(f"{(step.at - start) * 1000:7.1f}  ", style="dim")
    text.append(line.rstrip(), style=style)
    return text

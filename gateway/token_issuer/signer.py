"""A process that signs blinded messages: `python -m gateway.token_issuer.signer`.

A token takes 7 ms of a core with the interpreter held, which in the service itself would stop
everything else. Each job on standard input is the key (PEM) and the blinded message, both behind
their length in 4 octets; each answer is the signature, or nothing, behind its length.
"""

from __future__ import annotations

import signal
import sys
from typing import BinaryIO, Final

from discovery.privacy.blind_rsa import blind_sign
from discovery.privacy.reason import PrivacyError
from discovery.privacy.rsa_numbers import RsaPrivateKey

_LENGTH: Final = 4
_MAX_KEYS: Final = 16
MAX_FRAME: Final = 16_384


def frame(data: bytes) -> bytes:
    """Return octets behind their length."""
    return len(data).to_bytes(_LENGTH, "big") + data


def frame_length(head: bytes) -> int:
    """Return the length that stands in 4 octets. Raises ValueError for one out of range."""
    length = int.from_bytes(head, "big")
    if len(head) != _LENGTH or length > MAX_FRAME:
        raise ValueError("no frame")
    return length


def sign_all(jobs: BinaryIO, answers: BinaryIO) -> None:
    """Sign until there are no more jobs."""
    keys: dict[bytes, RsaPrivateKey] = {}
    while True:
        pem, blinded = _read(jobs), _read(jobs)
        if pem is None or blinded is None:
            return
        try:
            if pem not in keys:
                if len(keys) >= _MAX_KEYS:
                    keys.clear()
                keys[pem] = RsaPrivateKey.from_pem(pem)
            signature = blind_sign(keys[pem], blinded)
        except PrivacyError:
            signature = b""
        answers.write(frame(signature))
        answers.flush()


def _read(jobs: BinaryIO) -> bytes | None:
    """Return the next frame; None where the service ended, be it in the middle of one."""
    head = jobs.read(_LENGTH)
    if len(head) < _LENGTH:
        return None
    length = frame_length(head)
    data = jobs.read(length)
    return data if len(data) == length else None


if __name__ == "__main__":
    # A terminal's Ctrl-C reaches the whole group: whoever started us ends us by closing the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sign_all(sys.stdin.buffer, sys.stdout.buffer)

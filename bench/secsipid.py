"""libsecsipid, the library behind Kamailio's secsipid module, called in this process."""

from __future__ import annotations

import ctypes
import ctypes.util
from typing import Final

INSTALL: Final = "apt-get install libsecsipid1"


class SecsipidError(Exception):
    """The library is not installed or refuses what it should not; the text says which."""


class Secsipid:
    """Signs and checks Identity values with key and certificate in memory, nothing fetched."""

    def __init__(self, key_pem: bytes, certificate_pem: bytes) -> None:
        """Load the library; raises SecsipidError where it is not installed."""
        try:
            self._library = ctypes.CDLL(ctypes.util.find_library("secsipid") or "libsecsipid.so.1")
        except OSError:
            raise SecsipidError(f"libsecsipid is not installed: {INSTALL}") from None
        self._key = key_pem
        self._certificate = certificate_pem
        self._free = ctypes.CDLL(None).free
        self._free.argtypes = [ctypes.c_void_p]
        self._free.restype = None

    def sign(self, orig: bytes, dest: bytes, origid: bytes, x5u: bytes) -> bytes:
        """Return a SHAKEN Identity value with attestation A; raises SecsipidError."""
        out = ctypes.c_void_p()
        length = self._library.SecSIPIDGetIdentityPrvKey(
            orig, dest, b"A", origid, x5u, self._key, ctypes.byref(out)
        )
        if length <= 0 or not out.value:
            raise SecsipidError(f"libsecsipid does not sign: {length}")
        try:
            return ctypes.string_at(out.value, length)
        finally:
            self._free(out)

    def verify(self, identity: bytes) -> None:
        """Check the signature, header parameters and age of 60 s; raises SecsipidError."""
        certificate = self._certificate
        result = self._library.SecSIPIDCheckFullPubKey(
            identity, len(identity), 60, certificate, len(certificate)
        )
        if result != 0:
            raise SecsipidError(f"libsecsipid does not verify: {result}")

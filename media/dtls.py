"""DTLS 1.2 for SRTP keys (RFC 5763, 5764, 6347): one association over datagrams, no socket.

The peer's certificate must match a fingerprint of its SDP. The check runs inside the handshake,
so that a wrong peer gets `bad_certificate`, and again before keys are exported; without a match
no SRTP key ever exists.
"""

from __future__ import annotations

import datetime
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from media.fingerprint import Fingerprint
from media.srtp import SrtpKey, SrtpProfile

DtlsRole = Literal["client", "server"]
MTU = 1200
"""Bytes of UDP payload a flight is cut into."""
FIRST_RETRANSMISSION = 0.25
"""Seconds until a flight is first sent again; doubled up to `LAST_RETRANSMISSION`.

RFC 6347 section 4.2.4.1 has 1 and 60 seconds and lets time-sensitive uses go lower.
"""
LAST_RETRANSMISSION = 1.0
MAX_RESTARTS = 8
"""Handshakes a server begins anew after bytes that break one before a client was heard."""
MAX_FINAL_REPEATS = 20
"""Times the last flight is sent again for a client that missed it."""

_DTLS1_2_VERSION = 0xFEFD
_DTLS_METHOD = SSL.DTLS_METHOD
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:"
    b"ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305"
)
_EXPORTER_LABEL = b"EXTRACTOR-dtls_srtp"
_HASHES_BY_STRENGTH = ("sha-512", "sha-384", "sha-256")
_CHANGE_CIPHER_SPEC, _HANDSHAKE = 20, 22


@dataclass(frozen=True, slots=True)
class DtlsConnected:
    """The handshake is done and the fingerprint matched: the keys of both directions."""

    inbound: SrtpKey
    outbound: SrtpKey


@dataclass(frozen=True, slots=True)
class DtlsFailed:
    """No keys, for good: `fingerprint`, `handshake`, `srtp_profile` or `timeout`."""

    reason: Literal["fingerprint", "handshake", "srtp_profile", "timeout"]


DtlsEvent = DtlsConnected | DtlsFailed


def usable_fingerprints(offered: Sequence[Fingerprint]) -> tuple[Fingerprint, ...]:
    """Returns those of the strongest hash function we know, in their order (RFC 8122 section 5.1).

    Empty where there is none of SHA-256, SHA-384 or SHA-512: SHA-1 and MD5 do not count.
    """
    for name in _HASHES_BY_STRENGTH:
        found = tuple(value for value in offered if value.algorithm == name and value.strong)
        if found:
            return found
    return ()


def _matches(certificate: x509.Certificate, accepted: Sequence[Fingerprint]) -> bool:
    matched = False
    for algorithm, value in accepted:
        hash_function: hashes.HashAlgorithm = {
            "sha-256": hashes.SHA256(),
            "sha-384": hashes.SHA384(),
            "sha-512": hashes.SHA512(),
        }[algorithm]
        digest = certificate.fingerprint(hash_function).hex(":").upper()
        matched |= hmac.compare_digest(digest.encode(), value.upper().encode())
    return matched


@dataclass(frozen=True, slots=True)
class DtlsIdentity:
    """Our certificate and the OpenSSL context made from it, shared by all associations.

    Making a context costs a millisecond, an association out of it a tenth of that.
    `not_after` is in epoch seconds.
    """

    fingerprint: Fingerprint
    not_after: float
    profiles: tuple[SrtpProfile, ...]
    context: SSL.Context = field(repr=False)
    certificate: x509.Certificate = field(repr=False)

    @classmethod
    def generate(
        cls, now_epoch: float, lifetime: float, profiles: Sequence[SrtpProfile]
    ) -> DtlsIdentity:
        """Makes a self-signed ECDSA P-256 certificate valid for `lifetime` seconds (RFC 8827 6.5).

        It is dated a day back for peers whose clocks are behind. `profiles` best first.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "spingate media")])
        begin = datetime.datetime.fromtimestamp(now_epoch, tz=datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin - datetime.timedelta(days=1))
            .not_valid_after(begin + datetime.timedelta(seconds=lifetime))
            .sign(key, hashes.SHA256())
        )
        context = _new_context(profiles)
        context.use_certificate(certificate)
        context.use_privatekey(key)
        digest = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        return cls(
            Fingerprint("sha-256", digest),
            now_epoch + lifetime,
            tuple(profiles),
            context,
            certificate,
        )


def _new_context(profiles: Sequence[SrtpProfile]) -> SSL.Context:
    context = SSL.Context(_DTLS_METHOD)
    context.set_min_proto_version(_DTLS1_2_VERSION)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU | SSL.OP_NO_RENEGOTIATION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_cipher_list(_CIPHERS)
    context.set_tlsext_use_srtp(b":".join(profile.dtls_name for profile in profiles))
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verify)
    return context


def _verify(
    connection: SSL.Connection, certificate: object, _error: int, depth: int, _ok: int
) -> bool:
    """OpenSSL's question about each certificate of the peer: only the leaf's fingerprint counts."""
    if depth:
        return True
    association = connection.get_app_data()
    peer = certificate.to_cryptography()  # type: ignore[attr-defined]
    return isinstance(association, DtlsAssociation) and association.accepts(peer)


class DtlsAssociation:
    """One DTLS association: datagrams and `now` in; datagrams, one event and a deadline out.

    Give it only datagrams from an address that ICE validated (OWASP ASVS 17.2.6). After the
    handshake the OpenSSL object is let go: SRTP needs no more from it, it holds most of a
    call's memory, and whatever arrives afterwards cannot break the call. A server keeps its last
    flight to answer a client that missed it (RFC 6347 section 4.2.4).
    """

    def __init__(
        self,
        identity: DtlsIdentity,
        role: DtlsRole,
        fingerprints: Sequence[Fingerprint],
        *,
        timeout: float = 10.0,
    ) -> None:
        self.role = role
        self.fingerprints = usable_fingerprints(fingerprints)
        self._identity = identity
        self._timeout = timeout
        self._connection: SSL.Connection | None = None
        self._flight: tuple[bytes, ...] = ()
        self._outbox: list[bytes] = []
        self._interval = FIRST_RETRANSMISSION
        self._resend_at: float | None = None
        self._fail_at: float | None = None
        self._restarts = 0
        self._final_repeats = 0
        self._mismatch = False
        self.outcome: DtlsEvent | None = None
        if not self.fingerprints:
            raise ValueError("no fingerprint of a usable hash function")

    def start(self, now: float) -> DtlsEvent | None:
        """Begins: a client sends its ClientHello, a server waits. Idempotent."""
        if self._fail_at is not None:
            return None
        self._fail_at = now + self._timeout
        self._connection = self._new_connection()
        return self._advance(now)

    def receive(self, data: bytes, now: float) -> DtlsEvent | None:
        """Takes one datagram; returns the outcome in the call that brings it about."""
        if self.outcome is not None:
            self._after_the_end(data, now)
            return None
        if self._fail_at is None:
            self.start(now)
        assert self._connection is not None
        if not data:
            return None
        self._connection.bio_write(data)
        return self._advance(now)

    def take_datagrams(self) -> list[bytes]:
        """Returns what is to be sent now, each at most `MTU` bytes, and forgets it."""
        datagrams, self._outbox = self._outbox, []
        return datagrams

    def next_deadline(self) -> float | None:
        """When `expire` wants to be called, on the clock of `now`."""
        if self.outcome is not None or self._fail_at is None:
            return None
        if self._resend_at is None:
            return self._fail_at
        return min(self._resend_at, self._fail_at)

    def expire(self, now: float) -> DtlsEvent | None:
        """Sends the flight again or gives up, where its time has come."""
        if self.outcome is not None or self._fail_at is None:
            return None
        if now >= self._fail_at:
            return self._end(DtlsFailed("timeout"))
        if self._resend_at is not None and now >= self._resend_at:
            self._retransmit(now)
        return None

    def accepts(self, certificate: x509.Certificate) -> bool:
        """Compares the peer's certificate with its SDP's fingerprints, in constant time."""
        matched = _matches(certificate, self.fingerprints)
        self._mismatch |= not matched
        return matched

    def _new_connection(self) -> SSL.Connection:
        connection = SSL.Connection(self._identity.context, None)
        connection.set_app_data(self)
        connection.set_ciphertext_mtu(MTU)
        if self.role == "client":
            connection.set_connect_state()
        else:
            connection.set_accept_state()
        return connection

    def _advance(self, now: float) -> DtlsEvent | None:
        connection = self._connection
        assert connection is not None
        try:
            connection.do_handshake()
        except SSL.WantReadError:
            self._send(self._drain(connection), now)
            return None
        except SSL.Error:
            return self._broken(connection)
        self._send(self._drain(connection), now)
        return self._end(self._keys(connection))

    def _broken(self, connection: SSL.Connection) -> DtlsEvent | None:
        """A handshake that failed before a client was accepted may begin anew.

        A server that has sent nothing yet has agreed on nothing; what broke it may be anybody's.
        """
        heard_nobody = self.role == "server" and not self._flight
        if self._mismatch or not heard_nobody or self._restarts >= MAX_RESTARTS:
            self._outbox.extend(self._drain(connection))  # the alert that says why
            return self._end(DtlsFailed("fingerprint" if self._mismatch else "handshake"))
        self._restarts += 1
        self._connection = self._new_connection()
        self._resend_at = None
        return None

    def _keys(self, connection: SSL.Connection) -> DtlsEvent:
        certificate = connection.get_peer_certificate(as_cryptography=True)
        if certificate is None or not self.accepts(certificate):
            return DtlsFailed("fingerprint")
        name = connection.get_selected_srtp_profile()
        chosen = [profile for profile in self._identity.profiles if profile.dtls_name == name]
        if not chosen:
            return DtlsFailed("srtp_profile")
        profile = chosen[0]
        # RFC 5764 section 4.2: client key, server key, client salt, server salt.
        key, salt = profile.key_length, profile.salt_length
        material = connection.export_keying_material(_EXPORTER_LABEL, 2 * (key + salt))
        client = SrtpKey(profile, material[:key], material[2 * key : 2 * key + salt])
        server = SrtpKey(profile, material[key : 2 * key], material[2 * key + salt :])
        if self.role == "client":
            return DtlsConnected(inbound=server, outbound=client)
        return DtlsConnected(inbound=client, outbound=server)

    def _end(self, outcome: DtlsEvent) -> DtlsEvent:
        self.outcome = outcome
        self._connection = None
        self._resend_at = None
        if isinstance(outcome, DtlsFailed) or self.role == "client":
            self._flight = ()
        return outcome

    def _after_the_end(self, data: bytes, now: float) -> None:
        """Only a server that ended well answers, and only a handshake it has seen before."""
        if not self._flight or not data or data[0] not in (_CHANGE_CIPHER_SPEC, _HANDSHAKE):
            return
        if self._resend_at is not None and now < self._resend_at:
            return
        if self._final_repeats < MAX_FINAL_REPEATS:
            self._final_repeats += 1
            self._resend_at = now + FIRST_RETRANSMISSION / 2
            self._outbox.extend(self._flight)

    def _send(self, flight: tuple[bytes, ...], now: float) -> None:
        if flight:
            self._flight = flight
            self._outbox.extend(flight)
            self._interval = FIRST_RETRANSMISSION
            self._resend_at = now + self._interval

    def _retransmit(self, now: float) -> None:
        """OpenSSL renumbers the records where its own clock agrees; else they are sent as before.

        A peer that has a record already ignores the second one, so both are safe.
        """
        connection = self._connection
        assert connection is not None
        datagrams = self._flight
        try:
            if connection.DTLSv1_handle_timeout():
                datagrams = self._drain(connection) or self._flight
        except SSL.Error:
            datagrams = self._flight
        self._outbox.extend(datagrams)
        self._interval = min(2 * self._interval, LAST_RETRANSMISSION)
        self._resend_at = now + self._interval

    @staticmethod
    def _drain(connection: SSL.Connection) -> tuple[bytes, ...]:
        """Takes what OpenSSL wrote and packs its records into datagrams (RFC 6347 section 4.1)."""
        try:
            written = connection.bio_read(65536)
        except SSL.WantReadError:
            return ()
        datagrams: list[bytes] = []
        begin = at = 0
        while at < len(written):
            end = at + 13 + int.from_bytes(written[at + 11 : at + 13], "big")
            if end - begin > MTU and at > begin:
                datagrams.append(written[begin:at])
                begin = at
            at = end
        datagrams.append(written[begin:])
        return tuple(datagrams)

"""The registrar: RFC 3261 section 10.3, step by step."""

import asyncio
from dataclasses import replace

import pytest

from sip.bindings import Binding
from sip.headers import Headers
from sip.message import Request, Response
from sip.registrar import RegistrarSettings, current, register

AOR = "sip:+14155550100@alpha.example"
NOW = 1_800_000_000.0
SETTINGS = RegistrarSettings(min_expires=60, max_expires=600, default_expires=300, max_contacts=3)


class Store:
    """Keeps bindings in a dict; `overtaken` lets that many replacements fail first."""

    def __init__(self, overtaken: int = 0) -> None:
        self.kept: dict[str, tuple[Binding, ...]] = {}
        self.overtaken = overtaken
        self.writes = 0

    async def get(self, aor: str) -> tuple[Binding, ...]:
        return self.kept.get(aor, ())

    async def replace(
        self, aor: str, bindings: tuple[Binding, ...], *, expected: tuple[Binding, ...]
    ) -> bool:
        if self.overtaken > 0:
            self.overtaken -= 1
            return False
        assert self.kept.get(aor, ()) == expected
        self.kept[aor] = bindings
        self.writes += 1
        return True

    @property
    def contacts(self) -> list[str]:
        return [binding.contact_uri for binding in self.kept.get(AOR, ())]


def a_register(*contacts: str, cseq: int = 1, call_id: str = "reg@test", **headers: str) -> Request:
    fields = [
        ("Via", "SIP/2.0/TLS 192.0.2.9;branch=z9hG4bKx"),
        ("From", f"<{AOR}>;tag=1"),
        ("To", f"<{AOR}>"),
        ("Call-ID", call_id),
        ("CSeq", f"{cseq} REGISTER"),
        *[("Contact", contact) for contact in contacts],
        *[(name.replace("_", "-"), value) for name, value in headers.items()],
    ]
    return Request("REGISTER", "sip:alpha.example", Headers.of(*fields))


def run(store: Store, request: Request, now: float = NOW, token: str = "") -> Response:
    return asyncio.run(register(request, AOR, store, SETTINGS, now=now, flow_token=token))


A = "<sip:a@192.0.2.9:5061;transport=tls>"
B = "<sip:b@192.0.2.10>"


def test_a_contact_is_bound_for_the_time_it_asks_for() -> None:
    store = Store()
    response = run(store, a_register(A, Expires="120", User_Agent="Phone/1"), token="tls|x|1")
    assert response.status_code == 200
    assert response.headers.all("Contact") == (f"{A};expires=120",)
    assert response.headers.get("Date") == "Fri, 15 Jan 2027 08:00:00 GMT"
    assert response.to.tag
    (binding,) = store.kept[AOR]
    assert binding.expires_at == NOW + 120
    assert (binding.flow_token, binding.user_agent) == ("tls|x|1", "Phone/1")


@pytest.mark.parametrize(
    ("contact", "expires", "given"),
    [
        (A, None, 300),
        (A, "90", 90),
        (A + ";expires=70", "90", 70),
        (A, "99999999999999", 600),
        (A, "soon", 600),  # what cannot be read means 3600, which is more than we give
        (A + ";expires=soon", "90", 600),
    ],
)
def test_the_time_is_taken_from_the_contact_before_the_header(
    contact: str, expires: str | None, given: int
) -> None:
    request = a_register(contact) if expires is None else a_register(contact, Expires=expires)
    response = run(Store(), request)
    assert response.headers.get("Contact") == f"{A};expires={given}"


def test_too_short_a_time_gets_423_and_changes_nothing() -> None:
    store = Store()
    response = run(store, a_register(A, B + ";expires=59", Expires="120"))
    assert response.status_code == 423
    assert response.headers.get("Min-Expires") == "60"
    assert store.contacts == []


def test_a_register_without_contact_asks_what_is_bound() -> None:
    store = Store()
    run(store, a_register(A + ";q=0.5", B))
    response = run(store, a_register(cseq=2), NOW + 100)
    assert response.headers.all("Contact") == (f"{A};expires=200;q=0.5", f"{B};expires=200")
    assert store.writes == 1


def test_the_same_contact_written_otherwise_is_refreshed_and_not_added() -> None:
    store = Store()
    run(store, a_register("<sip:a@EXAMPLE.com;transport=TLS>"))
    run(store, a_register("<sip:%61@example.COM;transport=tls>", cseq=2))
    assert len(store.contacts) == 1


def test_the_same_device_is_known_by_its_instance_wherever_it_moved() -> None:
    store = Store()
    device = ';+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>";reg-id=1'
    run(store, a_register("<sip:a@192.0.2.9:1111>" + device), token="old")
    response = run(store, a_register("<sip:a@192.0.2.9:2222>" + device, call_id="new"), token="new")
    (binding,) = store.kept[AOR]
    assert (binding.contact_uri, binding.flow_token) == ("sip:a@192.0.2.9:2222", "new")
    assert device in (response.headers.get("Contact") or "")


def test_expires_0_removes_one_contact() -> None:
    store = Store()
    run(store, a_register(A, B))
    response = run(store, a_register(A + ";expires=0", cseq=2))
    assert response.headers.all("Contact") == (f"{B};expires=300",)
    assert run(store, a_register(A + ";expires=0", cseq=3)).status_code == 200


def test_star_removes_all_contacts() -> None:
    store = Store()
    run(store, a_register(A, B))
    response = run(store, a_register("*", cseq=2, Expires="0"))
    assert response.status_code == 200
    assert response.headers.all("Contact") == ()
    assert store.contacts == []


@pytest.mark.parametrize(
    "request_",
    [
        a_register("*", cseq=2),
        a_register("*", cseq=2, Expires="10"),
        a_register("*", A, cseq=2, Expires="0"),
        a_register("<tel:+14155550100>", cseq=2),
        a_register("<mailto:x@alpha.example>", cseq=2),
        a_register("<sip:", cseq=2),
        a_register("<sip:" + "a" * 2000 + "@x.example>", cseq=2),
    ],
)
def test_a_contact_that_makes_no_sense_gets_400_and_changes_nothing(request_: Request) -> None:
    store = Store()
    run(store, a_register(A))
    assert run(store, request_).status_code == 400
    assert store.writes == 1


def test_an_old_request_of_the_same_client_changes_nothing() -> None:
    store = Store()
    run(store, a_register(A, cseq=5))
    assert run(store, a_register(A + ";expires=0", cseq=5)).status_code == 500
    assert run(store, a_register("*", cseq=4, Expires="0")).status_code == 500
    assert len(store.contacts) == 1
    restarted = a_register(A + ";expires=0", cseq=1, call_id="after-a-restart")
    assert run(store, restarted).status_code == 200
    assert store.contacts == []


def test_contacts_are_bounded_but_old_ones_may_still_be_refreshed() -> None:
    store = Store()
    contacts = [f"<sip:u{n}@192.0.2.9>" for n in range(4)]
    assert run(store, a_register(*contacts)).status_code == 403
    assert run(store, a_register(*contacts[:3], cseq=2)).status_code == 200
    refused = run(store, a_register(contacts[3], cseq=3))
    assert (refused.status_code, refused.reason_phrase) == (403, "Too Many Contacts")
    assert run(store, a_register(contacts[0], cseq=4)).status_code == 200
    moved = a_register(contacts[0] + ";expires=0", contacts[3], cseq=5)
    assert run(store, moved).status_code == 200


def test_expired_contacts_are_gone() -> None:
    store = Store()
    run(store, a_register(A))
    assert run(store, a_register(cseq=2), NOW + 301).headers.all("Contact") == ()
    run(store, a_register(B, cseq=3), NOW + 301)
    assert store.contacts == ["sip:b@192.0.2.10"]


def test_an_extension_that_must_be_known_is_not() -> None:
    response = run(Store(), a_register(A, Require="gruu, path"))
    assert response.status_code == 420
    assert response.headers.get("Unsupported") == "gruu, path"


def test_two_registers_at_once_are_both_carried_out_or_told() -> None:
    store = Store(overtaken=2)
    assert run(store, a_register(A)).status_code == 200
    assert store.contacts == ["sip:a@192.0.2.9:5061;transport=tls"]
    assert run(Store(overtaken=99), a_register(A)).status_code == 500


def test_the_preferred_live_contacts_come_first() -> None:
    binding = Binding(AOR, "sip:a@x", "c", 1, NOW + 10, q=0.2)
    better, gone = replace(binding, q=0.9), replace(binding, expires_at=NOW)
    assert current((binding, better, gone), NOW) == (better, binding)

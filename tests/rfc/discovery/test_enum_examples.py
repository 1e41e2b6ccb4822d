"""The examples of RFC 3402, RFC 3761 and RFC 6116."""

import pytest

from discovery.enum.domain import Tree
from discovery.enum.naptr import Rule, select
from discovery.enum.regexp import parse_regexp
from discovery.model import Service


@pytest.mark.rfc("3402", "3.2")
def test_back_references_count_opening_parentheses() -> None:
    found = parse_regexp("(A(B(C)DE)(F)G)").search("ABCDEFG")
    assert found is not None
    assert found[1:] == ("ABCDEFG", "BCDE", "C", "F")


@pytest.mark.rfc("6116", "3.2")
def test_the_domain_of_a_number() -> None:
    assert Tree("", "e164.arpa").domain("442079460148") == "8.4.1.0.6.4.9.7.0.2.4.4.e164.arpa"
    assert Tree("", "e164.arpa").domain("441164960348") == "8.4.3.0.6.9.4.6.1.1.4.4.e164.arpa"


@pytest.mark.rfc("3761", "3.1")
def test_a_domain_with_sip_and_mail_prefers_sip() -> None:
    rules = [
        Rule(10, 100, "u", "E2U+sip", "!^.*$!sip:info@example.com!"),
        Rule(10, 101, "u", "E2U+h323", "!^.*$!h323:info@example.com!"),
        Rule(10, 102, "u", "E2U+msg", "!^.*$!mailto:info@example.com!"),
    ]
    selection = select(rules, "441164960348", Service.VOICE)
    assert [uri.text for uri in selection.uris] == ["sip:info@example.com"]


@pytest.mark.rfc("6116", "3.6")
def test_the_number_itself_goes_into_the_uri() -> None:
    rules = [
        Rule(100, 10, "u", "E2U+sip", "!^(\\+441632960083)$!sip:\\1@example.com!"),
        Rule(100, 20, "u", "E2U+msg:mailto", "!^.*$!mailto:info@example.com!"),
    ]
    selection = select(rules, "441632960083", Service.VOICE)
    assert [uri.text for uri in selection.uris] == ["sip:+441632960083@example.com"]


@pytest.mark.rfc("6116", "3.1.1")
def test_what_an_expression_does_not_match_is_left_out() -> None:
    rule = Rule(100, 10, "u", "E2U+sip", "!^\\+44(.*)$!sip:\\1@example.com!")
    assert [uri.text for uri in select([rule], "441632960083", Service.VOICE).uris] == [
        "sip:1632960083@example.com"
    ]
    assert not select([rule], "33612345678", Service.VOICE).uris


@pytest.mark.rfc("2916", "4")
def test_the_services_field_of_the_former_enum_is_read() -> None:
    rules = [
        Rule(100, 10, "u", "sip+E2U", "!^.*$!sip:info@tele2.example!"),
        Rule(102, 10, "u", "mailto+E2U", "!^.*$!mailto:info@tele2.example!"),
    ]
    selection = select(rules, "46761234", Service.VOICE)
    assert [uri.text for uri in selection.uris] == ["sip:info@tele2.example"]


@pytest.mark.rfc("6116", "3.4.3")
@pytest.mark.parametrize("field", ["E2U+sip", "e2u+SIP", "E2U+voice:sip", "E2U+x-foo+sip"])
def test_the_services_field_is_read_whatever_its_case_and_number_of_services(field: str) -> None:
    rule = Rule(1, 1, "U", field, "!^.*$!SIP:Info@Example.com!i")
    selection = select([rule], "441632960083", Service.VOICE)
    assert [uri.text for uri in selection.uris] == ["sip:Info@example.com"]


@pytest.mark.rfc("3403", "4.1")
def test_an_expression_and_a_replacement_exclude_each_other() -> None:
    rule = Rule(1, 1, "u", "E2U+sip", "!^.*$!sip:info@example.com!", "example.com.")
    assert not select([rule], "441632960083", Service.VOICE).uris


@pytest.mark.rfc("6116", "5.2.1")
def test_a_rule_that_leads_on_has_neither_flag_nor_expression() -> None:
    rule = Rule(1, 1, "", "", "", "4.4.example.com.")
    assert select([rule], "441632960083", Service.VOICE).next_domain == "4.4.example.com."

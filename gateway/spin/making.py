"""The parts of SPIN, made from the configuration."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final

from discovery.model import Service
from discovery.number import NumberRanges
from discovery.spin.agent import AgentPolicy
from discovery.spin.breaker import BreakerPolicy
from discovery.spin.callback_url import CallbackPolicy
from discovery.spin.limits import RateLimit
from discovery.spin.networks import Carriage, Network, Networks
from gateway.config.carriages import SmsReceipts
from gateway.config.discovery import Smpp, Sms, Spin
from gateway.config.load import ConfigError
from gateway.config.root import Config
from gateway.http.fetch import client_context
from gateway.keys import Keys
from gateway.mail.making import mail_settings
from gateway.mail.submission import MailSubmission
from gateway.mms.mail import MmscMail
from gateway.mms.submission import MmscClient, MmscSettings
from gateway.sms.carriers import Carrier, CarrierName, ChosenCarrier, Route
from gateway.sms.message import IncomingSms
from gateway.sms.provider import HttpSmsSender, ProviderSettings
from gateway.sms.receipt_form import ReceiptForm
from gateway.sms.smpp_making import smpp_settings
from gateway.sms.template import RequestTemplate
from gateway.sms.transceiver import SmsTransceiver
from gateway.spin.carriers import Carriers, MmsSender, SmsSender
from gateway.spin.kept_engines import KeptReferences
from gateway.spin.originating import OriginatingSettings

_HOUR: Final = 3600.0
_MINUTE: Final = 60.0


def make_transceiver(
    settings: Smpp,
    keys: Keys,
    on_message: Callable[[IncomingSms], None],
    on_delivery: Callable[[str, bool], None],
) -> SmsTransceiver:
    """Return the connection to the SMSC."""
    return SmsTransceiver(
        smpp_settings(settings, keys.smpp_password or "", "sms.smpp"),
        on_message,
        on_delivery=on_delivery,
    )


def make_http_sender(
    config: Config, keys: Keys, on_delivery: Callable[[str, bool], None]
) -> HttpSmsSender | None:
    """Return the provider reached over HTTP, if there is one."""
    http = config.sms.http
    if http is None:
        return None
    template = RequestTemplate(http.method, http.url, http.headers, http.json_body, http.form_body)
    settings = ProviderSettings(
        template,
        keys.carriages.sms_secret,
        http.timeout_seconds,
        http.max_under_way,
        http.answer_id,
    )
    return HttpSmsSender(settings, _context(config, http.url), on_delivery=on_delivery)


def make_receipt_form(receipts: SmsReceipts) -> ReceiptForm:
    """Return how a provider's receipts are read."""
    return ReceiptForm(
        receipts.message_id,
        receipts.status,
        frozenset(word.lower() for word in receipts.delivered),
        frozenset(word.lower() for word in receipts.failed),
    )


def make_chosen_carrier(
    sms: Sms, smpp: SmsTransceiver | None, http: HttpSmsSender | None
) -> ChosenCarrier:
    """Return what sends by the carriers there are; raises ConfigError where there is none."""
    carriers: dict[CarrierName, Carrier] = {}
    if smpp is not None:
        carriers["smpp"] = smpp
    if http is not None:
        carriers["http"] = http
    if not carriers:
        raise ConfigError("sms", "is missing: [spin] needs [sms.smpp] or [sms.http]")
    routes = [Route(each.prefix.lstrip("+"), each.order) for each in sms.route]
    for key, order in (
        ("sms.order", sms.order),
        *((f"sms.route {r.prefix}", r.order) for r in routes),
    ):
        if not carriers.keys() & set(order):
            raise ConfigError(key, "names no carrier that is configured")
    return ChosenCarrier(carriers, sms.order, routes)


def make_mmsc(config: Config, spin: Spin, keys: Keys) -> MmsSender | None:
    """Return the MMSC, over MM7 or by mail, if there is one."""
    mms = spin.mms
    if mms is None:
        return None
    if mms.mail is not None:
        mail = mail_settings(mms.mail, mms.mail.sender, keys.carriages.mms_mail_password or None)
        submission = MailSubmission(mail, client_context(mms.mail.trust_anchors))
        return MmscMail(submission, mms.mail.sender, mms.mail.recipient)
    if mms.url is None:
        return None
    settings = MmscSettings(
        mms.url,
        mms.vasp_id,
        mms.vas_id,
        mms.user,
        keys.carriages.mms_password,
        mms.timeout_seconds,
    )
    return MmscClient(settings, _context(config, mms.url))


def make_networks(spin: Spin) -> Networks:
    """Return what networks are known to take."""
    return Networks(
        [
            Network(each.prefix.lstrip("+"), tuple(Carriage(name) for name in each.carriages))
            for each in spin.network
        ]
    )


def make_carriers(
    config: Config,
    spin: Spin,
    keys: Keys,
    sms: SmsSender,
    references: KeptReferences,
    networks: Networks,
) -> Carriers:
    """Return all ways invitations travel by."""
    return Carriers(
        sms,
        networks,
        locale=spin.language,
        references=references,
        reference_place=spin.callback_url.removeprefix("https://").rstrip("/"),
        mms=make_mmsc(config, spin, keys),
        mms_x5c=spin.mms.certificates if spin.mms is not None else False,
    )


def _context(config: Config, url: str) -> ssl.SSLContext | None:
    return client_context(config.fetch.trust_anchors) if url.startswith("https://") else None


def make_originating(config: Config, spin: Spin) -> OriginatingSettings:
    """Return how invitations are sent."""
    sender = config.sms.smpp or config.sms.http
    source = sender.source_address if sender is not None else None
    limits = spin.limits
    return OriginatingSettings(
        callback_url=spin.callback_url.rstrip("/"),
        mapping_lifetime=config.discovery.cache_seconds,
        source_address=source.lstrip("+") if source else None,
        allowed_prefixes=tuple(prefix.lstrip("+") for prefix in spin.invite_prefixes),
        provider=config.provider.domain,
        together=tuple(Service(service) for service in spin.together),
        message_lifetime=spin.message_lifetime_seconds,
        per_number=RateLimit(spin.invitations_per_number_hour, _HOUR),
        per_caller=RateLimit(limits.sent_per_caller_hour, _HOUR),
        per_prefix=RateLimit(limits.sent_per_prefix_hour, _HOUR),
        total=RateLimit(limits.sent_per_minute, _MINUTE),
        breaker=BreakerPolicy(
            limits.breaker_percent, limits.breaker_invitations, limits.breaker_pause_seconds
        ),
    )


def make_policy(config: Config, spin: Spin) -> AgentPolicy:
    """Return for whom the agent answers and whom."""
    return AgentPolicy(
        numbers=NumberRanges(config.provider.numbers),
        known_senders=NumberRanges(spin.known_senders),
        unknown_senders=spin.unknown_senders,
        callback=CallbackPolicy(
            ports=frozenset(config.fetch.ports), trusted_hosts=frozenset(spin.trusted_agents)
        ),
        reference_hosts=frozenset(spin.reference_hosts),
        per_sender=RateLimit(spin.invitations_per_sender_hour, _HOUR),
        per_target=RateLimit(spin.limits.taken_per_number_minute, _MINUTE),
        per_prefix=RateLimit(spin.limits.taken_per_prefix_minute, _MINUTE),
    )

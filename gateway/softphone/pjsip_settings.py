"""The telephone's settings in PJSIP's own words."""

import random
from typing import Any

import pjsua2 as pj

from gateway.softphone.protocol import SoftphoneSettings

RTP_PORTS = 2000
SRTP_USE = {
    "disabled": pj.PJMEDIA_SRTP_DISABLED,
    "optional": pj.PJMEDIA_SRTP_OPTIONAL,
    "mandatory": pj.PJMEDIA_SRTP_MANDATORY,
}
TRANSPORT_TYPE = {
    "udp": pj.PJSIP_TRANSPORT_UDP,
    "tcp": pj.PJSIP_TRANSPORT_TCP,
    "tls": pj.PJSIP_TRANSPORT_TLS,
}


def library_settings(settings: SoftphoneSettings) -> Any:
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.uaConfig.userAgent = settings.user_agent
    if settings.nameserver:
        config.uaConfig.nameserver.append(settings.nameserver[0])
    config.medConfig.noVad = True
    config.medConfig.ecTailLen = 0
    config.medConfig.sndAutoCloseTime = -1
    config.logConfig.consoleLevel = 0
    config.logConfig.level = 5 if settings.log_file else 1
    if settings.log_file:
        config.logConfig.filename = str(settings.log_file)
    return config


def transport_settings(settings: SoftphoneSettings) -> Any:
    config = pj.TransportConfig()
    config.boundAddress = settings.bind_address
    config.publicAddress = settings.bind_address
    config.port = settings.port
    if settings.transport == "tls":
        tls = config.tlsConfig
        tls.proto = pj.PJ_SSL_SOCK_PROTO_TLS1_2
        tls.verifyServer = True
        if settings.trust_anchor_file:
            tls.CaListFile = str(settings.trust_anchor_file)
        if settings.certificate_file and settings.key_file:
            tls.certFile = str(settings.certificate_file)
            tls.privKeyFile = str(settings.key_file)
    return config


def account_settings(settings: SoftphoneSettings, transport: int) -> Any:
    config = pj.AccountConfig()
    config.idUri = settings.address_of_record
    config.regConfig.registrarUri = f"sip:{settings.domain}"
    config.regConfig.registerOnAdd = False
    config.regConfig.retryIntervalSec = 0
    config.sipConfig.transportId = transport
    config.sipConfig.proxies.append(settings.proxy_uri)
    if settings.username is not None:
        config.sipConfig.authCreds.append(
            pj.AuthCredInfo("digest", "*", settings.username, 0, settings.password or "")
        )
    # What is seen from outside does not differ from what is bound, on this host.
    config.natConfig.contactRewriteUse = 0
    config.natConfig.viaRewriteUse = False
    config.natConfig.sdpNatRewriteUse = False
    config.mediaConfig.transportConfig.boundAddress = settings.bind_address
    config.mediaConfig.transportConfig.publicAddress = settings.bind_address
    config.mediaConfig.transportConfig.port = settings.rtp_port_min or random.randrange(  # noqa: S311
        20000, 40000, 2
    )
    config.mediaConfig.transportConfig.portRange = RTP_PORTS
    config.mediaConfig.srtpUse = SRTP_USE[settings.srtp]
    config.mediaConfig.srtpSecureSignaling = 0
    config.mediaConfig.srtpOpt.keyings.append(pj.PJMEDIA_SRTP_KEYING_SDES)
    return config


def choose_codecs(endpoint: Any, wanted: tuple[str, ...]) -> None:
    if not wanted:
        return
    for codec in endpoint.codecEnum2():
        endpoint.codecSetPriority(codec.codecId, 0)
    for index, name in enumerate(wanted):
        endpoint.codecSetPriority(name, 255 - index)

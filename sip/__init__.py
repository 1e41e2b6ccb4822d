"""SIP: values, parser, transactions, proxy core, registrar, locating servers, transports."""

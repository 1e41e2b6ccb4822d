"""Packet captures: from a pcap or pcapng file to the SIP requests in it, without any sniffing."""

"""Media: SDP offer/answer, ICE, DTLS, SRTP, RTP legs and bridges."""

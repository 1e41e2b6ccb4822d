"""Out-of-band STIR (RFC 8816): what is stored at a call placement service, by whom, how long."""

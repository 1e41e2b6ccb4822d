"""Short messages: the SMPP 3.4 transceiver that carries SPIN invitations."""

"""Out-of-band STIR in the gateway: which calls are published, which are looked up."""

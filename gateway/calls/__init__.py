"""Call control: outbound, inbound, media control and call state."""

"""What of the gateway is cached, under which names, and how changes keep it true."""

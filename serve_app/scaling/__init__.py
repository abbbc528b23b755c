"""How many replicas the gateway needs: pure, without Ray."""

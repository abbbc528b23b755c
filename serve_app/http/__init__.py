"""HTTP for the slices: operations are declared once, and routed, checked and documented from that."""

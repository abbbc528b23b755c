"""What the gateway measures of itself, and what it makes of that: which figures, levels, alerts and advice."""

"""Ask of a gateway that runs what it can do, and what it holds: `easypay capacity` and `easypay drill`."""

"""The monitor: what all processes measure, in one place, with a judgement."""

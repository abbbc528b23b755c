"""Composition: reads the settings, starts and watches the processes, and puts the gateway together."""

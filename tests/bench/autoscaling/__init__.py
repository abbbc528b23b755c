"""Serve's autoscaling in virtual time: the predictive policy against Serve's own, on traffic from a file or a seed."""

"""What operators and load balancers ask."""

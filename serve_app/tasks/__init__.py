"""Work in the background that the gateway owes: the truth about open attempts, and webhooks."""

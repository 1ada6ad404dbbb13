"""The seam of a provider: what the service asks of one, and what they share."""

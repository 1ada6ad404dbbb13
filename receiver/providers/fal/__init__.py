"""fal's queue API."""

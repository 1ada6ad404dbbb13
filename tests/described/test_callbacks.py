"""Callbacks of described providers through the route: challenges, replies, headers, signed
requests."""

"""Samsar's video API."""

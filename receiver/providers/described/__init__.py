"""A provider made from a description: a TOML file."""

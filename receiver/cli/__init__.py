"""The command `receiver`; each file has one group of commands."""

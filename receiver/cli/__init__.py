"""The command `receiver`: one file a group of commands."""

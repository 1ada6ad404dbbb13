"""Webhook URLs, and addresses to which their names may resolve: the groups of `corpus.yaml`."""

from pathlib import Path
from typing import Any

import yaml

_GROUPS: dict[str, list[Any]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())

PUBLIC_ADDRESSES: list[str] = _GROUPS["public_addresses"]
SPECIAL_ADDRESSES: list[str] = _GROUPS["special_addresses"]
DISGUISED_HOSTS: list[str] = _GROUPS["disguised_hosts"]
MALFORMED_URLS: list[tuple[str, str]] = [(url, word) for url, word in _GROUPS["malformed_urls"]]
GOOD_URLS: list[tuple[str, str, int, str, str]] = [tuple(row) for row in _GROUPS["good_urls"]]

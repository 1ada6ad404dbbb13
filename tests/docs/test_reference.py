"""The pages about settings and metrics name all that exists, in the code's words."""

import re
from typing import Any

from pydantic.fields import FieldInfo

from receiver.config.settings import ClientSettings
from receiver.config.values import Rate
from receiver.providers.described.entry import SHIPPED, read_entries
from receiver.providers.settings import ServiceSettings, with_providers
from receiver.telemetry.metrics import Metrics
from tests.docs.pages import ROOT

METRICS, SETTINGS = ((ROOT / "docs" / f"{name}.md").read_text() for name in ("metrics", "settings"))
OF_DESCRIBED = {name for entry in read_entries(SHIPPED)[0] for name in entry.settings.model_fields}
"""Their names follow from the provider's, so one row is for all of them."""
FIELDS: dict[str, FieldInfo] = {
    name: field
    for kind in (with_providers(ServiceSettings), ClientSettings)
    for name, field in kind.model_fields.items()
    if name not in OF_DESCRIBED
}


def rows(text: str) -> list[list[str]]:
    """The cells of each row that begins with a name."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_metrics() -> None:
    suffixes = {"counter": "_total", "info": "_info"}
    table = [(name, kind, text) for name, kind, _, text in rows(METRICS.partition("\n## ")[0])]
    assert table == [
        (f"`{family.name}{suffixes.get(family.type, '')}`", family.type, family.documentation)
        for family in Metrics("1").registry.collect()
        if family.name.startswith("receiver_")
    ]


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "none; needed"
    is_unset = field.default_factory is not None or field.default in (None, ())
    return "none" if is_unset else f"`{as_text(field.default)}`"


def as_text(value: Any) -> str:
    """A default as one would write it in the environment."""
    match value:
        case bool():
            return str(value).lower()
        case Rate(count, seconds):
            return f"{count}/{ {1: 'second', 60: 'minute', 3600: 'hour'}[seconds] }"
        case tuple():
            return ",".join(map(as_text, value))
        case _:
            return str(value)


def test_settings() -> None:
    assert {name: cells for name, *cells in rows(SETTINGS)} == {
        f"`{name.upper()}`": [default(field), " ".join((field.description or "").split())]
        for name, field in FIELDS.items()
    }

"""A provider's name stands in its own folder alone."""

import re
from pathlib import Path

import receiver
import store
from receiver.providers import entries

NAMES = [name for entry in entries() for name in (entry.name, entry.twin) if name != "sandbox"]
OWN = Path(receiver.__file__).parent / "providers"


def test_no_provider_is_named_outside_of_the_providers() -> None:
    word = re.compile(rf"(?<![a-z])({'|'.join(NAMES)})(?![a-z])", re.IGNORECASE)
    files = [
        path
        for package in (receiver, store)
        for path in Path(str(package.__file__)).parent.rglob("*")
        if path.suffix in (".py", ".js", ".json", ".html", ".css", ".sql", ".toml")
    ]
    assert len(files) > 300
    named = [
        f"{path}:{number}: {line}"
        for path in files
        if OWN not in path.parents
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if word.search(line)
    ]
    assert named == []

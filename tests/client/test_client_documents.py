"""The client's documents are those of the service's own description."""

import inspect
import json
from typing import Any

import pytest
from pydantic import BaseModel

from receiver.client import documents
from tests.support import documented

SCHEMAS: dict[str, Any] = json.loads(json.dumps(documented.document()))["components"]["schemas"]
MODELS = {
    name: model
    for name, model in inspect.getmembers(documents, inspect.isclass)
    if issubclass(model, BaseModel) and model.__module__ == documents.__name__ and name[0] != "_"
}
# Its paths are the client's own business, and history lines differ in kind.
LEFT_OUT = {"Job": {"links"}, "JobDetail": {"links"}}


@pytest.mark.parametrize("name", sorted(MODELS.keys() - {"HistoryLine"}))
def test_each_has_the_members_that_the_service_describes(name: str) -> None:
    described = set(SCHEMAS[name]["properties"])
    assert set(MODELS[name].model_fields) == described - LEFT_OUT.get(name, set())


@pytest.mark.parametrize("name", sorted(name for name in MODELS if "examples" in SCHEMAS[name]))
def test_each_reads_and_writes_the_service_s_examples(name: str) -> None:
    for example in SCHEMAS[name]["examples"]:
        assert MODELS[name].model_validate(example).model_dump(mode="json") == example

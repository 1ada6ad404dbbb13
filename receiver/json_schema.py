"""Generates JSON Schema (2020-12) from types.

Documents are written once, as TypedDicts: the type checker uses them, and the OpenAPI document is
generated from them. A docstring below a member becomes its description.
"""

import ast
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from itertools import pairwise
from typing import Any, Final, TypeAlias, TypeVar

from pydantic import ConfigDict, GetPydanticSchema, TypeAdapter, with_config
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema
from typing_extensions import TypedDict, get_original_bases

Schema: TypeAlias = dict[str, Any]
Document = TypeVar("Document")

_PREFIX: Final = "#/components/schemas/"


def with_schema(schema: Mapping[str, Any]) -> GetPydanticSchema:
    """An annotation that gives a type this schema."""
    return GetPydanticSchema(
        lambda _source, _handler: core_schema.any_schema(),
        lambda core, handler: {**schema, **handler(core)},  # what `handler` adds is a description
    )


def enum_of(values: Iterable[str]) -> GetPydanticSchema:
    """An annotation for an enum of strings."""
    return with_schema(enum_schema(values))


def enum_schema(values: Iterable[str]) -> Schema:
    """The schema of an enum of strings. Use it for named types: client generators make a class of
    each name."""
    return {"type": "string", "enum": [str(value) for value in values]}


def document(
    *, example: Any = None, extra: bool = False, **keywords: Any
) -> Callable[[type[Document]], type[Document]]:
    """Decorates a TypedDict with a configuration of its JSON Schema.

    Args:
        example: replaces the example that `example_of` would generate.
        extra: whether other members are allowed.
        keywords: additional keywords of its JSON Schema.
    """
    if example is not None:
        keywords["examples"] = [example]
    return with_config(ConfigDict(extra="allow" if extra else "forbid", json_schema_extra=keywords))


class _Generator(GenerateJsonSchema):
    """Generates schemas without titles. Objects are closed by default, and an optional simple type
    is written as a pair of types with `null`."""

    def sort(self, value: Schema, parent_key: str | None = None) -> Schema:
        return value  # keep members in their order in the source

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> Schema:
        made = super().typed_dict_schema(schema)
        made.pop("title", None)
        document: Any = schema["cls"]
        # pydantic's own value comes from the type that contains this one.
        own = getattr(document, "__pydantic_config__", {})
        made["additionalProperties"] = own.get("extra") == "allow"
        for name, text in _docstrings_of(document).items():
            made["properties"][name]["description"] = text
        return made

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Schema:
        inner = self.generate_inner(schema["schema"])
        if isinstance(inner.get("type"), str):
            return inner | {"type": [inner["type"], "null"]}
        return super().nullable_schema(schema)


@cache
def _docstrings_of(document: Any) -> Mapping[str, str]:
    """The docstrings below the members of a TypedDict and of its bases. They are not kept at run
    time, so they are read from the source. (pydantic's `use_attribute_docstrings` leaves out the
    bases.)"""
    if document is TypedDict:
        return {}
    found: dict[str, str] = {}
    for base in get_original_bases(document):
        found |= _docstrings_of(base)
    (source,) = ast.parse(inspect.getsource(document)).body
    assert isinstance(source, ast.ClassDef)
    for pair in pairwise(source.body):
        match pair:
            case (ast.AnnAssign(ast.Name(member)), ast.Expr(ast.Constant(str(text)))):
                found[member] = inspect.cleandoc(text)
            case _:
                pass
    return found


def schemas_of(types: Iterable[Any]) -> dict[str, Schema]:
    """The named schemas of these types and of the types that they contain, by name."""
    _, made = TypeAdapter.json_schemas(
        [(each, "serialization", TypeAdapter(each)) for each in types],
        schema_generator=_Generator,
        ref_template=_PREFIX + "{model}",
    )
    schemas: dict[str, Schema] = made["$defs"]
    return schemas


def ref(name: str) -> Schema:
    """A reference to a named schema."""
    return {"$ref": _PREFIX + name}


def example_of(schema: Schema, schemas: Mapping[str, Schema]) -> Any:
    """The schema's first example, or one made from the examples of its members."""
    match schema:
        case {"examples": [example, *_]} | {"const": example} | {"enum": [example, *_]}:
            return example
        case {"$ref": str(target)}:
            return example_of(schemas[target.removeprefix(_PREFIX)], schemas)
        case {"anyOf": [*_, {"type": "null"}]} | {"type": [_, "null"]}:
            return None
        case {"oneOf": [first, *_]} | {"anyOf": [first, *_]}:
            return example_of(first, schemas)
        case {"properties": properties}:
            needed = schema.get("required", ())
            return {name: example_of(properties[name], schemas) for name in needed}
        case {"items": items}:
            return [example_of(items, schemas)]
        case {"type": kind}:
            made = {"integer": 1, "number": 1, "boolean": True, "object": {}, "string": "…"}
            return made[kind]
        case _:
            raise ValueError(f"there is no example of {schema}")

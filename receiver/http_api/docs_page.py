"""Serves the API's description: `/openapi.json` for programs, and the same for people at `/docs`.

The page is readable without JavaScript; `/static/docs.js` adds forms that send requests. Each
response is built when it is first requested, in a thread: most processes never need it.
"""

import asyncio
import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from html import escape
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from receiver.http_api.context import ApiContext
from receiver.http_api.credentials import OpenHandler, Row
from receiver.http_api.openapi import openapi_document
from receiver.http_api.responses import json_response

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
        " require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_BOUNDS: Final = ("format", "minimum", "exclusiveMinimum", "maximum", "maxLength", "default")


def openapi_json(rows: Iterable[Row[Any]]) -> OpenHandler:
    """The handler of `GET /openapi.json`."""
    return _made_once(lambda context: json_response(openapi_document(rows, context.settings)))


def docs(rows: Iterable[Row[Any]]) -> OpenHandler:
    """The handler of `GET /docs`: the same document as a page."""

    def page(context: ApiContext) -> Response:
        document = openapi_document(rows, context.settings)
        return Response(
            render(document, context.settings.public_url), media_type="text/html", headers=_HEADERS
        )

    return _made_once(page)


def _made_once(make: Callable[[ApiContext], Response]) -> OpenHandler:
    async def handler(context: ApiContext, request: Request) -> Response:
        path = request.url.path
        if path not in context.made_once:
            context.made_once[path] = await asyncio.to_thread(make, context)
        return context.made_once[path]

    return handler


# --- the page -------------------------------------------------------------------------------------


def render(document: Mapping[str, Any], origin: str) -> str:
    """The page. `origin` is used in the URLs of the curl examples."""
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{title}</title><link rel="stylesheet" href="/static/docs.css">'
        '<script type="module" src="/static/docs.js"></script></head>'
        f"<body><main>{''.join(_body(document, origin))}</main></body></html>"
    )


def _body(document: Mapping[str, Any], origin: str) -> Iterator[str]:
    info = document["info"]
    yield f"<h1>{escape(info['title'])}</h1><p>{escape(info['summary'])}</p>"
    yield (
        "<p>Send your key as <code>API-KEY</code>, or as <code>Authorization: Bearer</code>. "
        'For programs: <a href="/openapi.json">openapi.json</a>. '
        'The <a href="/">dashboard</a> shows jobs as they run.</p><div id="try-key"></div><nav>'
    )
    for tag in document["tags"]:
        yield f'<a href="#{_anchor(tag["name"])}">{escape(tag["name"])}</a>'
    yield '<a href="#documents">Documents</a></nav>'
    for tag in document["tags"]:
        yield f'<h2 id="{_anchor(tag["name"])}">{escape(tag["name"])}</h2>'
        yield f"<p>{_prose(tag['description'])}</p>"
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if tag["name"] in operation["tags"]:
                    curl = _curl(method.upper(), origin + path, operation)
                    yield from _operation(method.upper(), path, operation, curl)
        for name, item in document["webhooks"].items():
            if tag["name"] in item["post"]["tags"]:
                yield from _operation("POST", f"your webhookUrl ({name})", item["post"])
    yield '<h2 id="documents">Documents</h2>'
    for name, schema in document["components"]["schemas"].items():
        yield from _schema(name, schema)


def _operation(
    method: str, path: str, operation: Mapping[str, Any], curl: str = ""
) -> Iterator[str]:
    yield f'<details id="{escape(operation["operationId"])}"><summary><b>{method}</b>'
    yield f"<code>{escape(path)}</code><span>{escape(operation['summary'])}</span></summary><div>"
    if operation.get("security"):
        ways = " or ".join(name for way in operation["security"] for name in way)
        yield f'<p class="soft">Authentication: {escape(ways)}.</p>'
    if parameters := operation.get("parameters"):
        yield "<h3>Parameters</h3><table>"
        for parameter in parameters:
            needed = ", required" if parameter["required"] else ""
            yield _row(
                parameter["name"],
                f"{parameter['in']}{needed}. {_constraints(parameter['schema'])}",
                parameter.get("description", ""),
            )
        yield "</table>"
    if body := operation.get("requestBody"):
        yield f"<h3>Body</h3><p>{_content(body['content'])}</p>"
    yield curl
    yield "<h3>Responses</h3><table>"
    for status, answer in operation["responses"].items():
        content = _content(answer.get("content", {}))
        yield f"<tr><td><code>{escape(status)}</code></td><td>{_prose(answer['description'])}"
        yield f" {content}</td></tr>"
    yield "</table></div></details>"


def _curl(method: str, url: str, operation: Mapping[str, Any]) -> str:
    """A curl command for the operation, with example values, and the place for docs.js's form."""
    needed = [each for each in operation.get("parameters", ()) if each["required"]]
    for parameter in needed:
        example = parameter["schema"]["examples"][0]
        if parameter["in"] == "path":
            url = url.replace(f"{{{parameter['name']}}}", example)
        else:
            url += f"?{parameter['name']}={example}"
    stream = "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
    words = ["curl", "-sSN" if stream else "-sS", shlex.quote(url)]
    words += ['-H "API-KEY: $KEY"'] if operation["security"] else []
    if body := operation.get("requestBody"):
        example = json.dumps(body["content"]["application/json"]["example"], ensure_ascii=False)
        words += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(example)}"]
    elif method != "GET":
        words += ["-X", method]
    form = f'<div class="try" data-operation="{escape(operation["operationId"])}"></div>'
    return f'<h3>curl</h3><pre class="curl">{escape(" ".join(words))}</pre>{form}'


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary><div>'
    if description := schema.get("description"):
        yield f"<p>{_prose(description)}</p>"
    required = schema.get("required", ())
    yield "<table>"
    for member, its in schema.get("properties", {}).items():
        needed = "" if member in required else "optional. "
        yield _row(member, needed + _constraints(its), its.get("description", ""))
    yield "</table>"
    for example in schema.get("examples", ()):
        text = json.dumps(example, indent=2, ensure_ascii=False)
        yield f"<h3>Example</h3><pre>{escape(text)}</pre>"
    yield "</div></details>"


def _row(name: str, constraints: str, description: str) -> str:
    return (
        f"<tr><td><code>{escape(name)}</code></td>"
        f'<td>{_prose(description)} <span class="soft">{escape(constraints)}</span></td></tr>'
    )


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _content(content: Mapping[str, Any]) -> str:
    parts = []
    for media_type, its in content.items():
        if "schema" in its:
            name = escape(its["schema"]["$ref"].rpartition("/")[2])
            parts.append(f'<a href="#schema-{name}">{name}</a>')
        parts.append(f'<span class="soft">{escape(media_type)}</span>')
    return " ".join(parts)


def _constraints(schema: Mapping[str, Any]) -> str:
    """A short summary of the schema; openapi.json has the details."""
    if reference := schema.get("$ref"):
        return str(reference).rpartition("/")[2]
    if choices := schema.get("anyOf"):
        return " or ".join(_constraints(choice) for choice in choices)
    words = []
    if values := schema.get("enum"):
        words.append("one of " + ", ".join(json.dumps(value) for value in values))
    elif kind := schema.get("type"):
        words.append(kind if isinstance(kind, str) else " or ".join(kind))
    if items := schema.get("items"):
        words.append(f"of {_constraints(items)}")
    words += [f"{name} {json.dumps(schema[name])}" for name in _BOUNDS if name in schema]
    return ", ".join(words)


def _anchor(name: str) -> str:
    return escape(name.lower().replace(" ", "-"))

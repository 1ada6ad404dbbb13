"""An OpenAPI document as one page of HTML: no script, and nothing from another host."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #2a6df4 }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1.5rem }
h1 { margin: 0 } h2 { margin: 2.5rem 0 .2rem } h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
p { margin: .3rem 0 .8rem } nav { margin: 1rem 0 } nav a { margin-right: 1rem }
a { color: var(--accent) }
code, pre { font: .88em/1.5 ui-monospace, monospace }
pre { background: var(--soft); padding: .7rem .9rem; border-radius: .4rem; overflow-x: auto }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0 }
details > div { padding: 0 1rem 1rem }
details[open] > summary { border-bottom: 1px solid var(--line) }
summary { padding: .55rem 1rem; cursor: pointer; display: flex; flex-wrap: wrap; gap: .2rem .8rem }
summary b { font: 700 .82em/1.9 ui-monospace, monospace; min-width: 4rem; color: var(--accent) }
summary span { margin-left: auto; opacity: .75 }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto }
td { border-top: 1px solid var(--line); padding: .3rem .8rem .3rem 0; vertical-align: top }
td:first-child { white-space: nowrap }
.soft { opacity: .7 }
"""

_BOUNDS: Final = ("format", "minimum", "exclusiveMinimum", "maximum", "maxLength", "default")


def render(document: Mapping[str, Any]) -> tuple[bytes, str]:
    """The page, and the Content-Security-Policy that it is to be served with."""
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    body = "".join(_body(document))
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    )
    return page.encode(), policy


def _body(document: Mapping[str, Any]) -> Iterator[str]:
    info = document["info"]
    yield f"<h1>{escape(info['title'])}</h1><p>{escape(info['summary'])}</p>"
    yield (
        "<p>Send your key as <code>API-KEY</code>, or as <code>Authorization: Bearer</code>. "
        'For programs: <a href="/openapi.json">openapi.json</a>.</p><nav>'
    )
    for tag in document["tags"]:
        yield f'<a href="#{_anchor(tag["name"])}">{escape(tag["name"])}</a>'
    yield '<a href="#documents">Documents</a></nav>'
    for tag in document["tags"]:
        yield f'<h2 id="{_anchor(tag["name"])}">{escape(tag["name"])}</h2>'
        yield f"<p>{escape(tag['description'])}</p>"
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if tag["name"] in operation["tags"]:
                    yield from _operation(method.upper(), path, operation)
        for name, item in document["webhooks"].items():
            if tag["name"] in item["post"]["tags"]:
                yield from _operation("POST", f"your webhookUrl ({name})", item["post"])
    yield '<h2 id="documents">Documents</h2>'
    for name, schema in document["components"]["schemas"].items():
        yield from _schema(name, schema)


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f'<details id="{escape(operation["operationId"])}"><summary><b>{method}</b>'
    yield f"<code>{escape(path)}</code><span>{escape(operation['summary'])}</span></summary><div>"
    if operation.get("security"):
        ways = " or ".join(name for way in operation["security"] for name in way)
        yield f'<p class="soft">Asks for: {escape(ways)}.</p>'
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
    yield "<h3>Answers</h3><table>"
    for status, answer in operation["responses"].items():
        content = _content(answer.get("content", {}))
        yield f"<tr><td><code>{escape(status)}</code></td><td>{escape(answer['description'])}"
        yield f" {content}</td></tr>"
    yield "</table></div></details>"


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary><div>'
    if told := schema.get("description"):
        yield f"<p>{escape(told)}</p>"
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


def _row(name: str, constraints: str, told: str) -> str:
    return (
        f"<tr><td><code>{escape(name)}</code></td>"
        f'<td>{escape(told)} <span class="soft">{escape(constraints)}</span></td></tr>'
    )


def _content(content: Mapping[str, Any]) -> str:
    parts = []
    for media_type, its in content.items():
        if "schema" in its:
            name = escape(its["schema"]["$ref"].rpartition("/")[2])
            parts.append(f'<a href="#schema-{name}">{name}</a>')
        parts.append(f'<span class="soft">{escape(media_type)}</span>')
    return " ".join(parts)


def _constraints(schema: Mapping[str, Any]) -> str:
    """The schema in a few words; what a page cannot say shortly, the document says in full."""
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

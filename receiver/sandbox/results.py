"""What a result link opens: a small animation made from the job's own words, and nothing stored."""

import hmac
import re
import textwrap
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from typing import Any, Final

from store.records import Millis

_LINK_LIFETIME: Final[Millis] = 7 * 24 * 3600 * 1000
_LONG_SIDE: Final = 640
_SHORT_SIDE_MIN: Final = 200
_SCENE_SECONDS: Final = 3
_LINES_A_SCENE: Final = 6


class ResultLinks:
    """Links that live seven days, as the provider's do, and open nothing after that."""

    def __init__(self, base_url: str, key: bytes) -> None:
        self._base_url = base_url.rstrip("/")
        self._key = key

    def make(self, request_id: str, now: Millis) -> str:
        """A fresh link for a job."""
        expires = str((now + _LINK_LIFETIME) // 1000)
        signature = self._sign(request_id, expires)
        return f"{self._base_url}/results/{request_id}.svg?expires={expires}&signature={signature}"

    def is_valid(self, request_id: str, expires: str, signature: str, now: Millis) -> bool:
        """Whether `make` made these parts, and not too long ago."""
        expected = self._sign(request_id, expires)
        genuine = hmac.compare_digest(expected.encode(), signature.encode())
        return genuine and now < int(expires) * 1000

    def _sign(self, request_id: str, expires: str) -> str:
        return hmac.new(self._key, f"{request_id}?{expires}".encode(), sha256).hexdigest()[:32]


def animation(request_id: str, job_input: Mapping[str, Any]) -> str:
    """An animated SVG that shows a job's prompt, or a narrative's lines, scene by scene."""
    width, height = _frame(job_input.get("aspect_ratio"))
    scenes = _scenes(job_input, line_width=width // 17)
    total = len(scenes) * _SCENE_SECONDS
    hue = int(request_id[:4], 16) % 360
    texts = "\n".join(
        _scene(lines, position, len(scenes), width, height) for position, lines in enumerate(scenes)
    )
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" \
font-family="system-ui, sans-serif" fill="#fff" text-anchor="middle">
<title>{escape(" ".join(scenes[0]))}</title>
<rect width="100%" height="100%" fill="hsl({hue} 60% 25%)"/>
<circle cy="{height // 2}" r="{height // 3}" fill="hsl({(hue + 40) % 360} 70% 35%)">
<animate attributeName="cx" values="0;{width};0" dur="9s" repeatCount="indefinite"/>
</circle>
{texts}
<text x="{width // 2}" y="{height - 22}" font-size="12" opacity=".7">{request_id} · sandbox</text>
<rect y="{height - 8}" height="8">
<animate attributeName="width" from="0" to="{width}" dur="{total}s" repeatCount="indefinite"/>
</rect>
</svg>
"""


def _scene(lines: Sequence[str], position: int, count: int, width: int, height: int) -> str:
    top = height // 2 - 15 * (len(lines) - 1)
    spans = "".join(
        f'<tspan x="{width // 2}" y="{top + 30 * row}">{escape(line)}</tspan>'
        for row, line in enumerate(lines)
    )
    if count == 1:
        return f'<text font-size="24">{spans}</text>'
    # Without animation, a viewer shows the first scene alone.
    others = ["0"] * count
    others[position] = "1"
    return (
        f'<text font-size="24" opacity="{1 if position == 0 else 0}">{spans}'
        f'<animate attributeName="opacity" calcMode="discrete" values="{";".join(others)}" '
        f'dur="{count * _SCENE_SECONDS}s" repeatCount="indefinite"/></text>'
    )


def _scenes(job_input: Mapping[str, Any], line_width: int) -> list[list[str]]:
    match job_input:
        case {"prompt_list": [*prompts]}:
            pass
        case {"prompt_list": str(prompts_text)}:
            prompts = prompts_text.splitlines()
        case _:
            prompts = [job_input.get("prompt", "")]
    scenes: list[list[str]] = []
    for prompt in prompts:
        lines = textwrap.wrap(_printable(str(prompt)), line_width)
        scenes.extend(
            lines[first : first + _LINES_A_SCENE] for first in range(0, len(lines), _LINES_A_SCENE)
        )
    return scenes or [["(untitled)"]]


def _printable(text: str) -> str:
    """`text` without what XML or UTF-8 refuses: control characters, lone surrogates."""
    return "".join(character if character.isprintable() else " " for character in text)


def _frame(aspect_ratio: object) -> tuple[int, int]:
    """Width and height for a ratio such as `9:16`; what is none gets 16:9."""
    ratio = re.fullmatch(r"([1-9]\d?):([1-9]\d?)", str(aspect_ratio))
    share = int(ratio[1]) / int(ratio[2]) if ratio else 16 / 9
    if share >= 1:
        return _LONG_SIDE, max(_SHORT_SIDE_MIN, round(_LONG_SIDE / share))
    return max(_SHORT_SIDE_MIN, round(_LONG_SIDE * share)), _LONG_SIDE

"""Which inputs are refused, in Samsar's words, and how the others are sent."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.providers.samsar.rules import InputRules, with_lines

RULES = InputRules(
    image_models=["IMAGEN3", "FLUX1.1PRO", "TOMORROW"],
    video_models=["LUMA", "KLINGIMGTOVIDPRO"],
)
MOVIE = {"prompt": "A heron", "image_model": "IMAGEN3", "video_model": "LUMA", "duration": 30}
NARRATIVE = {"prompt_list": ["One", "Two"], "image_model": "IMAGEN3"}

ABSENT = object()
NOT_FINITE = (math.nan, math.inf, -math.inf)


def changed(base: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    given = {**base, name: value}
    return {key: item for key, item in given.items() if item is not ABSENT}


@pytest.mark.parametrize(
    ("name", "value", "detail"),
    [
        *[("prompt", value, "Prompt is required") for value in (ABSENT, None, "", " \n", 7, ["a"])],
        ("prompt", "\t\u2003\u3000\ufeff", "Prompt is required"),
        ("prompt", "x" * 501, "Prompt is too long"),
        *[
            ("image_model", value, "Invalid image model")
            for value in (ABSENT, None, "", "imagen3", "NOPE", 7, ["IMAGEN3"], {"a": 1})
        ],
        ("image_model", "DALLE3", "Image model is not supported for this type"),
        *[("video_model", value, "Invalid video model") for value in (ABSENT, None, "NOPE", [1])],
        ("video_model", "VEO", "Video model is not supported for this type"),
        *[
            ("duration", value, "Duration is invalid")
            for value in (*(ABSENT, None, "30", True, [30]), *(0, -1, -0.5), *NOT_FINITE)
        ],
        *[("duration", value, "Duration is too long") for value in (121, 120.01, 10**400)],
        *[("aspect_ratio", value, "Aspect ratio is invalid") for value in (16, ["16:9"], True)],
    ],
    ids=lambda value: "absent" if value is ABSENT else repr(value)[:30],
)
def test_a_movie_s_fault(name: str, value: Any, detail: str) -> None:
    faults = RULES.faults("create_movie", changed(MOVIE, name, value))
    assert [(fault.pointer, fault.detail) for fault in faults] == [(f"/input/{name}", detail)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt", "\x1d"),  # JSON Schema does not count this as white space
        ("prompt", "x" * 500),
        ("prompt", "\U0001f426" * 500),
        ("image_model", "TOMORROW"),
        ("video_model", "KLINGIMGTOVIDPRO"),
        ("duration", 120),
        ("duration", 0.5),
        ("aspect_ratio", "9:16"),
        ("aspect_ratio", None),
        ("anything_else", {"goes": ["upstream"]}),
    ],
)
def test_a_movie_without_fault(name: str, value: Any) -> None:
    given = changed(MOVIE, name, value)
    assert RULES.faults("create_movie", given) == []


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ({}, "it is missing"),
        ({"duraton": 10}, "it is missing; did you mean it by duraton?"),
        ({"duration": "10"}, "it must be a number over 0, in seconds"),
    ],
)
def test_a_missing_or_misspelt_duration_is_named(body: dict[str, Any], hint: str) -> None:
    (fault,) = RULES.faults("create_movie", changed(MOVIE, "duration", ABSENT) | body)
    assert fault.text == f"Duration is invalid: {hint}"


def test_all_errors_are_reported_in_the_provider_s_order() -> None:
    assert [fault.detail for fault in RULES.faults("create_movie", {"aspect_ratio": 1})] == [
        "Prompt is required",
        "Invalid image model",
        "Invalid video model",
        "Duration is invalid",
        "Aspect ratio is invalid",
    ]


@pytest.mark.parametrize(
    ("name", "value", "pointer", "detail"),
    [
        *[
            ("prompt_list", value, "/input/prompt_list", "Prompt is required")
            for value in (ABSENT, None, [], "", "\n \r\n", 7, {"0": "One"})
        ],
        ("prompt_list", ["One", " ", "Three"], "/input/prompt_list/1", "Prompt is required"),
        ("prompt_list", ["One", 2], "/input/prompt_list/1", "Prompt is required"),
        ("prompt_list", [""] * 21, "/input/prompt_list", "Prompt is too long"),
        ("prompt_list", "x\n" * 21, "/input/prompt_list", "Prompt is too long"),
        ("image_model", "SANA", "/input/image_model", "Image model is not supported for this type"),
        ("video_model", "NOPE", "/input/video_model", "Invalid video model"),
        ("add_generative_video", True, "/input/video_model", "Invalid video model"),
        (
            "add_generative_video",
            "yes",
            "/input/add_generative_video",
            "Generative video flag is invalid",
        ),
        ("speaker", 7, "/input/speaker", "Speaker is invalid"),
        ("provider", "openai", "/input/provider", "Provider is invalid"),
        ("aspect_ratio", 7, "/input/aspect_ratio", "Aspect ratio is invalid"),
    ],
    ids=lambda value: "absent" if value is ABSENT else repr(value)[:30],
)
def test_a_narrative_s_fault(name: str, value: Any, pointer: str, detail: str) -> None:
    faults = RULES.faults("create_narrative", changed(NARRATIVE, name, value))
    assert [(fault.pointer, fault.detail) for fault in faults] == [(pointer, detail)]


def test_an_error_about_a_model_names_the_allowed_ones() -> None:
    (fault,) = RULES.faults("create_movie", MOVIE | {"video_model": "NOPE"})
    assert fault.hint == "it must be one of KLINGIMGTOVIDPRO, LUMA"
    (fault,) = RULES.faults("create_narrative", NARRATIVE | {"video_model": "NOPE"})
    assert fault.hint == "it must be one of KLINGIMGTOVIDPRO, LUMA, RUNWAYML"


@pytest.mark.parametrize(
    "given",
    [
        {"prompt_list": ["x"] * 20, "video_model": None, "add_generative_video": False},
        {"prompt_list": "x\n\n" * 20, "video_model": "LUMA", "add_generative_video": True},
        {"video_model": "RUNWAYML", "add_generative_video": True},
        {"speaker": "alloy", "provider": "PLAYHT", "aspect_ratio": "16:9"},
    ],
)
def test_a_narrative_without_fault(given: dict[str, Any]) -> None:
    assert RULES.faults("create_narrative", NARRATIVE | given) == []


@pytest.mark.parametrize(
    ("prompts", "lines"),
    [
        ("One", ["One"]),
        ("One\nTwo\r\nThree\rFour", ["One", "Two", "Three", "Four"]),
        ("\n One \n\n \nTwo\n", [" One ", "Two"]),
        ("One\u2028still one\x0bstill", ["One\u2028still one\x0bstill"]),
        (["One\nstill one", "Two"], ["One\nstill one", "Two"]),
    ],
)
def test_a_prompt_list_goes_upstream_as_an_array(prompts: Any, lines: list[str]) -> None:
    given = {**NARRATIVE, "prompt_list": prompts, "later": 1}
    assert json.loads(with_lines(json.dumps(given))) == {**given, "prompt_list": lines}


@given(st.text())
def test_a_string_is_judged_as_the_array_that_is_sent(prompts: str) -> None:
    given = {**NARRATIVE, "prompt_list": prompts}
    sent = json.loads(with_lines(json.dumps(given)))
    assert RULES.faults("create_narrative", given) == RULES.faults("create_narrative", sent)

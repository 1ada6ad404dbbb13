"""What a submission to Samsar looks like on the wire."""

import json

from receiver.domain.answers import SubmitAccepted
from tests.providers.faulty_server import answer, faulty_server, http_answer, stall_after
from tests.providers.samsar import ACCEPTED, CALLBACK, INPUT, samsar, submit_to


async def test_the_body_is_the_input_and_the_callback_alone() -> None:
    _, server = await submit_to(answer(200, ACCEPTED))
    assert json.loads(server.bodies[0]) == {"input": INPUT, "webhookUrl": CALLBACK}
    head = server.heads[0]
    assert head.startswith("POST /v1/video/create_movie HTTP/1.1\r\n")
    assert "\r\nAPI-KEY: key-1\r\n" in head
    assert "\r\nContent-Type: application/json\r\n" in head


async def test_a_narrative_goes_upstream_with_an_array() -> None:
    given = {"prompt_list": "One\r\n\n Two \rThree", "image_model": "IMAGEN3"}
    async with faulty_server(answer(200, ACCEPTED)) as server, samsar(server.url) as provider:
        await provider.submit("create_narrative", given, CALLBACK)
    assert json.loads(server.bodies[0])["input"]["prompt_list"] == ["One", " Two ", "Three"]
    assert server.heads[0].startswith("POST /v1/video/create_narrative ")
    assert given["prompt_list"] == "One\r\n\n Two \rThree"


async def test_authorization_carries_a_bearer_key() -> None:
    _, server = await submit_to(answer(200, ACCEPTED), auth_header="Authorization")
    assert "\r\nAuthorization: Bearer key-1\r\n" in server.heads[0]


async def test_each_submission_has_a_connection_of_its_own() -> None:
    keep_alive = http_answer(200, ACCEPTED, {"Connection": "keep-alive"})
    async with faulty_server(stall_after(keep_alive)) as server, samsar(server.url) as provider:
        for _ in range(3):
            assert isinstance(
                await provider.submit("create_movie", INPUT, CALLBACK), SubmitAccepted
            )
    assert server.connections == len(server.bodies) == 3

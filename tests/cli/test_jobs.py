"""`submit`, `jobs`, `watch` and `deliveries`: the commands that speak HTTP."""

import json
import signal
import time

import pytest

from tests.cli.conftest import TIMEOUT, Served, Workspace, stub_server, submit_movie
from tests.support.service import JOB


@pytest.fixture
def ann(served: Served, request: pytest.FixtureRequest) -> Workspace:
    """A workspace with a key of the test's own user."""
    return served.as_user(f"u{abs(hash(request.node.name))}")


def test_a_job_is_submitted_watched_and_shown(ann: Workspace) -> None:
    (ann.folder / "movie.json").write_text(json.dumps(JOB))
    job_id = ann.run("submit", "movie.json").out.strip()
    watched = ann.run("watch", job_id)
    assert watched.status == 0
    assert watched.out.splitlines()[-1] == f"{job_id} COMPLETED by callback · A lighthouse at dawn"
    assert "\x1b" not in watched.out
    states = [json.loads(line) for line in ann.run("watch", job_id, "--json").out.splitlines()]
    assert states[-1]["status"] == "COMPLETED"

    shown = ann.run("jobs", "show", job_id, "--history", "--json").json()
    assert shown["status"] == "COMPLETED"
    assert {line["type"] for line in shown["history"]} >= {"event", "callback"}
    plain = ann.run("jobs", "show", job_id, "--history").out
    assert "status: COMPLETED\n" in plain
    assert f"result.videoUrl: {shown['result']['videoUrl']}\n" in plain
    assert ann.run("jobs", "list").out.splitlines()[1].split("\t")[:2] == [job_id, "COMPLETED"]
    assert ann.run("jobs", "list", "--json").json()["jobs"][0] == {
        name: value for name, value in shown.items() if name not in ("history", "input", "waiting")
    }


def test_a_failed_job_that_its_provider_calls_completed_says_why(workspace: Workspace) -> None:
    faults = {"SANDBOX_RENDER": "0.1", "SANDBOX_FAIL_JOBS": "1", "SANDBOX_DROP_CALLBACKS": "1"}
    settings = faults | {"PROVIDER": "sandbox-fal", "POLL_FIRST": "0.1", "POLL_MIN": "0.1"}
    with workspace.with_settings(**settings).serving() as service:
        ann = service.as_user("ann")
        order = {"kind": "fal-ai/flux/dev", "input": {"prompt": "A heron"}}
        done = ann.run("submit", "-", "--wait", "20", stdin=json.dumps(order))
    assert done.status == 1
    assert (
        "\nprovider_status: COMPLETED (The provider says so of every job that has ended, also of"
        " one that failed.)\n"
    ) in done.out


def test_submit_can_wait_for_the_job(ann: Workspace, endless: Served) -> None:
    done = ann.run("submit", "-", "--wait", "20", "--json", stdin=json.dumps(JOB))
    assert (done.status, done.json()["status"]) == (0, "COMPLETED")
    done = endless.as_user("waits").run("submit", "-", "--wait", "1", stdin=json.dumps(JOB))
    assert (done.status, done.err) == (1, "")
    assert "\nstatus: PENDING\n" in done.out


def test_a_body_on_standard_input_is_utf_8(ann: Workspace) -> None:
    body = json.dumps(JOB | {"input": JOB["input"] | {"prompt": "Brücke"}}, ensure_ascii=False)
    job_id = ann.run("submit", "-", stdin=body).out.strip()
    assert ann.run("jobs", "show", job_id, "--json").json()["label"] == "Brücke"


@pytest.mark.parametrize("given", ["", "[1]", "{", "[" * 100_000])
def test_a_file_without_a_json_object_is_a_usage_error(ann: Workspace, given: str) -> None:
    assert ann.run("submit", "-", stdin=given).status == 2


@pytest.mark.parametrize(
    "words",
    [
        ("submit", "not-there.json"),
        ("jobs", "list", "--metadata", "n"),
        ("jobs", "list", "--since", "soon"),
        ("jobs", "list", "--status", "odd"),
        ("deliveries", "retry"),
        ("deliveries", "retry", "msg_x", "--host", "example.com"),
        ("deliveries", "retry", "--state", "delivered"),
    ],
)
def test_wrong_options_are_a_usage_error(ann: Workspace, words: tuple[str, ...]) -> None:
    done = ann.run(*words)
    assert (done.status, done.out) == (2, "")


def test_a_refusal_names_each_error_once_with_its_pointer(ann: Workspace) -> None:
    given = JOB | {"input": JOB["input"] | {"duration": 121, "prompt": ""}}
    done = ann.run("submit", "-", stdin=json.dumps(given))
    assert (done.status, done.err) == (
        1,
        "Prompt is required (at /input/prompt)\nDuration is too long (at /input/duration)\n",
    )
    # A text after "api_key:" would be taken for a key, and redacted.
    secret = ann.run("submit", "-", stdin=json.dumps(JOB | {"api_key": "mine"}))
    assert secret.err.startswith("This member is unknown; the known ones are ")
    assert secret.err.endswith("(at /api_key)\n")
    for value in (r'"\ud800"', "NaN", "1e400"):  # no JSON text may have them
        body = f'{{"kind": "create_movie", "input": {{"a": {value}}}}}'
        assert "(400 invalid_json)" in ann.run("submit", "-", stdin=body).err


def test_a_cancelled_job_fails_cancel_and_watch(endless: Served) -> None:
    ann = endless.as_user("cancels")
    job_id = submit_movie(ann)
    assert ann.run("jobs", "cancel", job_id).out == f"{job_id} CANCELLED\n"
    again = ann.run("jobs", "cancel", job_id)
    assert again.status == 1
    assert "409 job_finished" in again.err
    watched = ann.run("watch", job_id)
    assert watched.status == 1
    assert "CANCELLED by its user (canceled_by_user" in watched.out


def _first_cells(table: str) -> list[str]:
    return [line.split("\t")[0] for line in table.splitlines()[1:]]


def test_lists_have_filters_and_pages(ann: Workspace) -> None:
    ids = [submit_movie(ann, metadata={"n": str(number)}) for number in range(3)]
    listed = ann.run("jobs", "list", "--metadata", "n=1").out
    assert listed.startswith("request_id\tstatus\t")
    assert _first_cells(listed) == [ids[1]]
    page = ann.run("jobs", "list", "--limit", "2")
    assert _first_cells(page.out) == [ids[2], ids[1]]
    cursor = page.err.split("--cursor ")[1].strip()
    rest = ann.run("jobs", "list", "--cursor", cursor)
    assert _first_cells(rest.out) == [ids[0]]
    assert rest.err == ""
    found = ann.run("jobs", "list", "--search", "LIGHTHOUSE", "--limit", "1").out
    assert _first_cells(found) == [ids[2]]
    assert len(_first_cells(ann.run("jobs", "list", "--since", "2026-01-01").out)) == 3
    for nothing in (
        *(("--search", "boat"), ("--provider", "samsar"), ("--kind", "create_narrative")),
        *(("--status", "failed"), ("--since", "2200-01-01T00:00:00")),
    ):
        assert ann.run("jobs", "list", *nothing).out == "No jobs.\n"
    assert ann.run("jobs", "list", "--status", "failed", "--json").json() == {
        "jobs": [],
        "next_cursor": None,
    }


def test_an_admin_lists_the_jobs_of_all_users(served: Served, ann: Workspace) -> None:
    job_id = submit_movie(ann)
    root = served.as_user("root", "--admin")
    listed = root.run("jobs", "list", "--user", "*", "--json").json()["jobs"]
    (mine,) = [job for job in listed if job["request_id"] == job_id]
    assert mine["user"] in root.run("jobs", "list", "--user", "*").out
    unknown = root.run("jobs", "list", "--user", "nobody")
    assert (unknown.status, unknown.err.splitlines()[0]) == (
        1,
        "There is no user 'nobody'. (404 not_found)",
    )


def in_state(workspace: Workspace, job_id: str, state: str) -> str:
    """Wait until the job's delivery has this state; returns the delivery's id."""
    until = time.monotonic() + TIMEOUT
    while True:
        done = workspace.run("deliveries", "list", "--request-id", job_id, "--state", state)
        if done.out != "No deliveries.\n":
            return _first_cells(done.out)[0]
        assert time.monotonic() < until


def test_deliveries_are_listed_shown_and_sent_again(ann: Workspace) -> None:
    with stub_server(410) as sink:
        job_id = submit_movie(ann, webhookUrl=sink.url, webhookEvents=["COMPLETED"])
        sink.calls.get(timeout=TIMEOUT)
        message = in_state(ann, job_id, "disabled")
        listed = ann.run("deliveries", "list").out
        host = sink.url.split("/")[2]
        assert f"\n{message}\tjob.completed\t{host}\tdisabled\t410\t1 of 10\t-\t" in listed
        assert ann.run("deliveries", "list", "--failing").out == "No deliveries.\n"
        (delivery,) = ann.run("deliveries", "list", "--json").json()["deliveries"]
        assert delivery["id"] == message
        shown = ann.run("deliveries", "show", message)
        assert f"url: {sink.url}\n" in shown.out
        assert "job.completed" in shown.out
        sink.status = 204
        of_state = ("deliveries", "retry", "--state", "disabled", "--host")
        assert ann.run(*of_state, "example.com").out == "No matching deliveries.\n"
        done = ann.run(*of_state, "127.0.0.1")
        assert (done.status, done.out) == (0, "1 queued for resending.\n")
        assert sink.calls.get(timeout=TIMEOUT).headers["webhook-id"] == message
        assert in_state(ann, job_id, "delivered") == message
        done = ann.run("deliveries", "retry", message)
        assert (done.status, done.out) == (0, f"{message} is sent again now.\n")
        assert sink.calls.get(timeout=TIMEOUT).headers["webhook-id"] == message


def test_errors_say_what_to_do(workspace: Workspace, ann: Workspace) -> None:
    no_key = workspace.run("jobs", "list")
    assert no_key.status == 2
    assert "RECEIVER_API_KEY is not set" in no_key.err
    with stub_server(200, {"X-Request-ID": "x"}) as another:
        url = another.url
        for arguments in (("watch",), ("submit", "-")):
            elsewhere = ann.with_settings(URL=url).run(*arguments, stdin="{}")
            assert elsewhere.status == 1
    for arguments in (("jobs", "list"), ("watch",), ("deliveries", "list")):
        nobody = ann.with_settings(URL=url).run(*arguments)
        assert nobody.status == 1
        assert "`receiver serve`" in nobody.err
    wrong = ann.with_settings(URL=f"{ann.settings['URL']}/api").run("jobs", "list")
    assert wrong.err.splitlines() == [
        "There is no such path. (404 unknown_path)",
        "Check RECEIVER_URL, and that no id is empty.",
    ]
    no_admin = ann.run("jobs", "list", "--user", "*")
    assert no_admin.status == 1
    assert "`receiver keys create NAME --admin`" in no_admin.err
    unknown = ann.with_settings(API_KEY="rk_" + "n" * 43).run("jobs", "list")
    assert unknown.status == 1
    assert "`receiver keys list`" in unknown.err
    assert "nnnn" not in unknown.err


def test_ctrl_c_while_submit_waits_says_that_the_job_may_exist(endless: Served) -> None:
    ann = endless.as_user("impatient")
    (ann.folder / "movie.json").write_text(json.dumps(JOB))
    with ann.running("submit", "movie.json", "--wait", "60") as waiting:
        deadline = time.monotonic() + TIMEOUT
        while ann.run("jobs", "list").out == "No jobs.\n":
            assert time.monotonic() < deadline
            time.sleep(0.05)  # without it, a slow start of the command reaches the rate limit
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=TIMEOUT)
    assert waiting.returncode == 130
    assert (out, err) == ("", "The job may exist: see `receiver jobs list`.\n")

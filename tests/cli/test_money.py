"""`budgets`, `spend`, the prices of `serve` and of `doctor`, and the sandbox's invoice."""

from collections.abc import Iterator

import httpx
import pytest

from receiver.cli.output import money
from tests.cli.conftest import Served, Workspace
from tests.support.service import JOB

PRICES = """currency = "USD"
[[price]]
provider = "sandbox"
kind = "*"
fixed = "0.10"
[[price]]
provider = "samsar"
kind = "create_movie"
per = { duration = "0.02" }
"""
FAULTY = 'currency = "usd"\n[[price]]\nprovider = "samsar"\nkind = "*"\nfixed = 0.1\ntypo = 1\n'


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with prices."""
    folder = tmp_path_factory.mktemp("priced")
    (folder / "prices.toml").write_text(PRICES)
    settings = {"PROVIDER": "sandbox", "PRICES": "prices.toml", "SANDBOX_RENDER": "3600"}
    with Workspace(folder, settings).serving() as served:
        yield served


def test_a_budget_counts_from_the_next_submission_of_a_running_service(priced: Served) -> None:
    ann = priced.as_user("ann")
    with httpx.Client(base_url=priced.url, headers={"API-KEY": ann.settings["API_KEY"]}) as http:
        assert http.post("/v1/jobs", json=JOB).status_code == 202
        done = priced.workspace.run("budgets", "set", "ann", "0.1/day")
        assert (done.status, done.out) == (0, "ann: 0.1/day\n")
        refused = http.post("/v1/jobs", json=JOB)
        assert (refused.status_code, refused.json()["spent"]) == (402, "0.1")
        submitted = ann.run("submit", "-", stdin='{"kind": "create_movie", "input": {}}')
        assert submitted.status == 1
        assert priced.workspace.run("budgets", "list").out == "user\tbudget\nann\t0.1/day\n"
        listed = priced.workspace.run("budgets", "list", "--json").json()
        assert listed == [{"user": "ann", "budget": "0.1/day"}]
        cleared = priced.workspace.run("budgets", "set", "ann", "none", "--json").json()
        assert cleared == {"user": "ann", "budget": None}
        assert priced.workspace.run("budgets", "list").out == "No user has a budget.\n"
        assert http.post("/v1/jobs", json=JOB).status_code == 202


@pytest.mark.parametrize("text", ["lots", "50", "50/week", "5,0/day", "1e3/day", "", "-5/day"])
def test_what_is_no_budget_is_refused_in_words(priced: Served, text: str) -> None:
    done = priced.workspace.run("budgets", "set", "ann", text)
    assert (done.status, done.out) == (2, "")
    assert "is no budget: AMOUNT/hour" in done.err or text.startswith("-")


def test_a_budget_is_of_a_known_user(priced: Served, workspace: Workspace) -> None:
    done = priced.workspace.run("budgets", "set", "nobody", "5/day")
    assert (done.status, done.err.split(".")[0]) == (1, "There is no user 'nobody'")
    assert workspace.run("budgets", "list").status == 1


def test_spend_is_summed_by_what_is_asked_for(priced: Served) -> None:
    bob = priced.as_user("bob")
    assert bob.run("spend").out == (
        "No job of yours has a price. With an admin key, --user '*' shows all users' jobs.\n"
    )
    bob.run("submit", "-", stdin='{"kind": "create_movie", "input": {}}')
    with httpx.Client(base_url=priced.url, headers={"API-KEY": bob.settings["API_KEY"]}) as http:
        jobs = [http.post("/v1/jobs", json=JOB).json()["request_id"] for _ in range(3)]
    assert "\ncost: 0.10 USD (reserved)\n" in bob.run("jobs", "show", jobs[0]).out
    assert bob.run("spend", "--by", "kind").out == (
        "kind\tjobs\treserved\tsettled\tunknown\tcurrency\ncreate_movie\t3\t0.30\t0.00\t0.00\tUSD\n"
    )
    (row,) = bob.run("spend", "--by", "provider", "--json").json()["rows"]
    assert (row["key"], row["reserved"]) == ("sandbox", "0.3")
    assert bob.run("spend", "--user", "ann").status == 1
    assert bob.run("spend", "--by", "week").status == 2
    admin = priced.as_user("root", "--admin")
    assert (
        "bob\t3\t0.30\t0.00\t0.00\tUSD\n" in admin.run("spend", "--by", "user", "--user", "*").out
    )
    assert admin.run("spend", "--user", "root").out == "No job of 'root' has a price.\n"


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("0.4", "USD", "0.40"),
        ("5", "EUR", "5.00"),
        ("0.0011", "USD", "0.0011"),
        ("100", "JPY", "100"),
        ("0.5", "JPY", "0.5"),
        ("1.5", "KWD", "1.500"),
    ],
)
def test_amounts_are_shown_with_the_decimals_of_their_currency(
    amount: str, currency: str, shown: str
) -> None:
    assert money(amount, currency) == shown


@pytest.mark.parametrize("command", ["serve", "sandbox", "doctor"])
def test_faults_of_the_prices_are_told_with_their_lines(workspace: Workspace, command: str) -> None:
    (workspace.folder / "prices.toml").write_text(FAULTY)
    at = workspace.with_settings(PRICES="prices.toml", PROVIDER="sandbox", POLL_RATE="0")
    done = at.run(command)
    assert done.status == 2
    said = done.err + done.out
    for words in (
        "line 1: currency",
        "line 5: price.fixed",
        "line 6: price.typo: there is no such member",
    ):
        assert f"RECEIVER_PRICES is 'prices.toml': {words}" in said
    assert ("RECEIVER_POLL_RATE" in said) == (command != "sandbox")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "the file cannot be read: No such file"),
        (b"currency = ", "it is not TOML: "),
        (b"\xff", "the file is not UTF-8"),
    ],
)
def test_a_file_that_is_no_price_list_is_a_fault(
    workspace: Workspace, content: bytes | None, words: str
) -> None:
    if content is not None:
        (workspace.folder / "prices.toml").write_bytes(content)
    done = workspace.with_settings(PRICES="prices.toml", PROVIDER="sandbox").run("serve")
    assert done.status == 2
    assert f"RECEIVER_PRICES is 'prices.toml': {words}" in done.err


def test_doctor_warns_of_prices_that_hold_nothing_back(workspace: Workspace) -> None:
    metered = '[[price]]\nprovider = "replicate"\nkind = "*"\nmeasured = { predict_time = "1" }\n'
    (workspace.folder / "prices.toml").write_text(f'currency = "USD"\n{metered}')
    done = workspace.with_settings(PRICES="prices.toml", PROVIDER="sandbox").run("doctor")
    assert "warning\tprices\tthe price of replicate, '*', has `measured` alone" in done.out


def test_the_sandbox_writes_an_invoice(workspace: Workspace) -> None:
    (workspace.folder / "prices.toml").write_text(PRICES)
    with workspace.with_settings(PRICES="prices.toml").serving("sandbox") as sandbox:
        origin = httpx.URL(sandbox.url).copy_with(path="/")
        with httpx.Client(base_url=origin, headers={"API-KEY": "any"}) as http:
            made = http.post("/v1/video/create_movie", json={"input": JOB["input"]}).json()
            invoice = http.get("/invoice").json()
    assert invoice == [{"request_id": made["request_id"], "amount": "0.6"}]

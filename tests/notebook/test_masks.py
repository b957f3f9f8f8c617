"""What is masked, what is not, and that no pattern can hold the server up."""

from __future__ import annotations

import time

import pytest

from agent_lab.notebook.masks import Masks, check_pattern, found_in, masks_of
from agent_lab.protocol.errors import Invalid
from agent_lab.protocol.secrets import HIDDEN
from agent_lab.protocol.secrets import MASKED as HIDDEN_COLUMN

MASKS = Masks()
# Put together here, so that no scanner of secrets takes this file for a leak.
KEY = "sk-" + "ant-api03-" + "Qx7" * 12
JWT = ".".join(["eyJ" + "hbGciOiJIUzI1NiJ9", "eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0", "SflKxwRJSM"])
PEM = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow\nAbc+/=\n-----END RSA " + "PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret", "what"),
    [
        (f"key is {KEY} here", KEY, "API key"),
        ("aws AKIA" + "IOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE", "API key"),
        ("ghp_" + "a1B2" * 9, "a1B2a1B2", "API key"),
        (f"Authorization: Bearer {JWT}", "SflKxwRJSM", "token"),
        ("Bearer abcdef0123456789xyz", "abcdef0123456789xyz", "token"),
        (f"x\n{PEM}\ny", "MIIEow", "private key"),
        ("cut: " + PEM[:60], "MIIEow", "private key"),
        ("postgresql://ada:hunter2@db/x", "hunter2", "password"),
        ("mongodb+srv://u:p%40ss@h/", "p%40ss", "password"),
        ("DB_PASSWORD = 'x1'", "x1", "secret"),
        ('{"api_key": "abc"}', '"abc"', "secret"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI7MDENGbPxRfi", "wJalrXUtn", "secret"),
        ("client_secret: 9f8e7d6c5b4a39281706", "9f8e7d6c", "secret"),
    ],
)
def test_secrets_do_not_leave(text: str, secret: str, what: str) -> None:
    left = MASKS.apply(text)
    assert secret not in left
    assert what in found_in([left])


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens = 4096 and tokens: 123456789",
        "tokenizer = AutoTokenizer.from_pretrained('bert')",
        "token = os.environ['TOKEN']",
        "import sk-learn-contrib-something-long",
        "see https://example.org:8080/path?a=b",
        "password: str",
        "df['token'].nunique()",
        "the secret of good plots",
        "hash 3b1f" + "0" * 36,
        "",
    ],
)
def test_words_leave_as_they_are(text: str) -> None:
    assert MASKS.apply(text) == text


def test_masking_again_changes_nothing() -> None:
    once = MASKS.apply(f"a={KEY}\npassword='{KEY}'\n{PEM}")
    assert MASKS.apply(once) == once


def test_a_persons_own_patterns_are_masked() -> None:
    masks = masks_of((r"cust-\d+", r"\b\d{3}-\d{2}-\d{4}\b"))
    left = masks.apply("cust-77 paid, ssn 123-45-6789\ncust-8")
    assert left == ("[masked: own pattern] paid, ssn [masked: own pattern]\n[masked: own pattern]")
    assert found_in([left]) == {"own pattern": 3}


def test_a_pattern_is_found_across_the_pieces_of_a_long_line() -> None:
    masks = masks_of((r"cust-\d{2}",))
    line = "".join(f"{'x' * 97}cust-{n:02}" for n in range(100))
    assert masks.apply(line).count("[masked: own pattern]") == 100
    assert "cust-" not in masks.apply(line)


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+b", "(a|a)*c", "(a|ab)*c", r"(\w+\s?)*$", "a*a*a*b", r"(x)\1", "(?=a)b", "(?<=a)b",
     "a" * 201, "", "(", "a*", "x?", "(a?){64}b", "(?:a{1,50}){1,50}", "((a{0,9}){0,9}){0,9}b"],
)  # fmt: skip
def test_patterns_that_could_take_long_are_refused(pattern: str) -> None:
    with pytest.raises(Invalid):
        check_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [r"cust-\d+", r"[A-Z]{2}\d{6,8}", "(?:alpha|beta)-[a-z]+", "(?i)acme corp", r"a\.b?c"],
)
def test_ordinary_patterns_are_taken(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


def test_the_worst_pattern_that_is_taken_is_still_quick() -> None:
    """Each repetition matches at every place, and nothing in the end."""
    masks = Masks(("a{0,60}a{0,60}b", "a+c"))
    began = time.monotonic()
    left = masks.apply("a" * 200_000)
    assert time.monotonic() - began < 2.0
    assert left.endswith("took too long on this text]")
    assert not left.startswith("aaa") or len(left) < 200_000  # what was not seen does not leave


@pytest.mark.parametrize(
    "text",
    ["a" * 1_000_000, "eyJ" * 300_000, "-----BEGIN A PRIVATE KEY-----" * 3000, "token=" * 100_000,
     "a-" * 500_000, "x://" * 200_000, "'token" * 100_000, "sk-" * 300_000],
)  # fmt: skip
def test_our_own_patterns_are_linear(text: str) -> None:
    began = time.monotonic()
    MASKS.apply(text)
    assert time.monotonic() - began < 5.0


def test_what_the_kernel_hid_itself_counts_too() -> None:
    told = f"- email: str, {HIDDEN_COLUMN}\n- name: str\n- token: str, {HIDDEN}\n- key: {HIDDEN}"
    assert found_in([told]) == {"column": 1, "secret": 2}

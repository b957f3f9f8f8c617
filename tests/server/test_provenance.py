"""The mark on a cell: what the page of JupyterLab reads is what is written here."""

from __future__ import annotations

from agent_lab.notebook.provenance import ran, source_hash, wrote

WHO = {"session": "s", "turn": "t", "agent": "claude", "model": None, "at": "now"}


def test_the_hash_is_the_one_that_the_page_makes() -> None:
    # labextension/tests/lab/marks.test.ts has the same.
    assert source_hash("") == "00000000"
    assert source_hash("df.mean()\n") == "a73d489a"
    assert source_hash("é😀") == "7f805a06"
    assert source_hash("\ud800")  # a notebook can hold half a character


def test_a_mark_says_who_and_no_more() -> None:
    assert wrote("", session="s", turn="t", agent="claude", model=None, at="now") == {
        "agent_lab": {**WHO, "hash": "00000000"}
    }
    assert ran(3, session="s", turn="t", agent="claude", model=None, at="now") == {
        "agent_lab": {"outputs": {**WHO, "execution_count": 3}}
    }

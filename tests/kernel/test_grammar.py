"""What a line after `%agent` asks for, and which lines are lines of ours."""

from __future__ import annotations

import re

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from agent_lab.kernel.grammar import FLAGS, VALUES, WORDS, Request, help_text, parse
from agent_lab.kernel.magics import AgentLine


@pytest.mark.parametrize(
    ("line", "cell", "asked"),
    [
        ("", None, Request("ask")),
        ("why doesn't it work?", None, Request("ask", "why doesn't it work?")),
        ('why is "x" {y} $z  two', None, Request("ask", 'why is "x" {y} $z  two')),
        ("--no-context why", None, Request("ask", "why", with_context=False)),
        ("--no-context\twhy", None, Request("ask", "why", with_context=False)),
        ("--no-context", None, Request("ask", "", with_context=False)),
        ("-- --verbose does what?", None, Request("ask", "--verbose does what?")),
        ("why -- is --no-context here", None, Request("ask", "why -- is --no-context here")),
        ("status", None, Request("status")),
        (" stop ", None, Request("stop")),
        ("status of my model?", None, Request("ask", "status of my model?")),
        ("--help", None, Request("help")),
        ("", "first\nsecond\n", Request("ask", "first\nsecond")),
        ("status", "body", Request("ask", "status\nbody")),
        ("--no-context", "body", Request("ask", "body", with_context=False)),
    ],
)
def test_a_line_is_options_then_the_persons_own_words(
    line: str, cell: str | None, asked: Request
) -> None:
    assert parse(line, cell) == asked


@pytest.mark.parametrize("line", ["--cells 3 why", "--no-contextual", "--help=yes", "--wait=1 why"])
def test_an_unknown_option_gets_the_list(line: str) -> None:
    with pytest.raises(ValueError, match=line.split()[0]) as failed:
        parse(line)
    for option in (*FLAGS, *VALUES):
        assert option in str(failed.value)


@pytest.mark.parametrize(
    ("line", "cell", "asked"),
    [
        ("--cell 3 why", None, Request("ask", "why", cell="3")),
        ("--cell=a1-b2 why", None, Request("ask", "why", cell="a1-b2")),
        ("--out 7", None, Request("ask", out=7)),
        ("--vars df,x --wait so?", None, Request("ask", "so?", variables=("df", "x"), wait=True)),
        ("--vars=a,a,b, why", None, Request("ask", "why", variables=("a", "b"))),
        ("--all-errors", None, Request("ask", all_errors=True)),
        ("--new --agent claude --model opus go", None,
         Request("ask", "go", new=True, agent="claude", model="opus")),
        ("--session 3f2a why", None, Request("ask", "why", session="3f2a")),
        ("--plan --again go", None, Request("ask", "go", plan=True, again=True)),
        ("--wait --vars a,b", "the\ncell", Request("ask", "the\ncell", wait=True,
         variables=("a", "b"))),
        ("fix", None, Request("fix")),
        ("fix --wait --vars a", None, Request("fix", wait=True, variables=("a",))),
        ("--wait fix", None, Request("fix", wait=True)),
        ("fix the labels", None, Request("ask", "fix the labels")),
        ("fix --wait the labels", None, Request("ask", "fix --wait the labels")),
        ("fix", "body", Request("ask", "fix\nbody")),
        ("fix --help", None, Request("help")),
        ("-- fix", None, Request("ask", "fix")),
        ("-- status", None, Request("ask", "status")),
        ("sessions", None, Request("sessions")),
        ("usage", None, Request("usage")),
        ("resume 3f2a", None, Request("resume", session="3f2a")),
        ("resume the training", None, Request("ask", "resume the training")),
        ("watch", None, Request("watch")),
        ("watch stop", None, Request("unwatch")),
        ("watch on error", None, Request("watch", condition="error")),
        ("watch on idle how was it?", None, Request("watch", "how was it?", condition="idle")),
        ("watch on error", "long\nwords", Request("watch", "long\nwords", condition="error")),
        ("watch when loss < 0.1", None,
         Request("watch", condition="when", expression="loss < 0.1")),
        ("watch when a[-1] -- is it?", None,
         Request("watch", "is it?", condition="when", expression="a[-1]")),
        ("watch when x", "why?", Request("watch", "why?", condition="when", expression="x")),
        ("--vars x watch on error", None,
         Request("watch", condition="error", variables=("x",))),
        ("watch out for nulls", None, Request("ask", "watch out for nulls")),
        ("watch on the left", None, Request("ask", "watch on the left")),
    ],
)  # fmt: skip
def test_what_can_be_asked_for(line: str, cell: str | None, asked: Request) -> None:
    assert parse(line, cell) == asked


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--yes do it", "There is no --yes"),
        ("fix --yes", "There is no --yes"),
        ("--cell", "--cell needs N|ID"),
        ("--vars --wait x", "--vars needs a,b"),
        ("--vars a,1b why", "1b"),
        ("--vars , why", "names with commas"),
        ("--out one", "the number of a cell"),
        ("--out -1", "the number of a cell"),
        ("--no-context --cell 3 why", "leave out"),
        ("--new --session 3f2a why", "not both"),
        ("--wait status", "takes no options"),
        ("--no-context fix", "sends the last error"),
        ("resume", "Name the session"),
        ("watch when", "no Python expression"),
        ("watch when x is it true?", "no Python expression"),
        ("watch when import os", "no Python expression"),
        ("--wait watch on error", "no other option"),
        ("--wait watch", "takes no options"),
    ],
)
def test_what_cannot_be_asked_for_is_said(line: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(line)


def test_the_help_names_every_word_and_option() -> None:
    text = help_text()

    for name in (*FLAGS, *VALUES):
        assert f"  {name}" in text
    for word in WORDS:
        assert f"%agent {word}" in text
    assert "There is no --yes" in text


@pytest.fixture
def transform() -> TransformerManager:
    manager: TransformerManager = TransformerManager()  # type: ignore[no-untyped-call]  # IPython's
    manager.token_transformers.append(AgentLine)
    return manager


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("%agent why?", "get_ipython().run_line_magic('agent', 'why?')\n"),
        ("%agent why ??", "get_ipython().run_line_magic('agent', 'why ??')\n"),
        ("%agent isn't x?", "get_ipython().run_line_magic('agent', \"isn't x?\")\n"),
        ("%agent f(x?", "get_ipython().run_line_magic('agent', 'f(x?')\n"),
        ("%agent why", "get_ipython().run_line_magic('agent', 'why')\n"),
        ("%agent", "get_ipython().run_line_magic('agent', '')\n"),
        ("%agent?", "get_ipython().run_line_magic('pinfo', '%agent')\n"),
        ("%agents why?", "get_ipython().run_line_magic('pinfo', 'why')\n"),
        ("if x:\n    %agent why?\n", "if x:\n    get_ipython().run_line_magic('agent', 'why?')\n"),
        ("'''\n%agent why?\n'''", "'''\n%agent why?\n'''\n"),
        ("%%agent\nwhy?\n", "get_ipython().run_cell_magic('agent', '', 'why?\\n')\n"),
    ],
)
def test_a_question_mark_at_the_end_is_a_question(
    transform: TransformerManager, source: str, expected: str
) -> None:
    assert transform.transform_cell(source) == expected

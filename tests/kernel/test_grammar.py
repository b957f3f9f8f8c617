"""What a line after `%agent` asks for, and which lines are lines of ours."""

from __future__ import annotations

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from agent_lab.kernel.magics import OPTIONS, AgentLine, Request, parse


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


@pytest.mark.parametrize("line", ["--cell 3 why", "--no-contextual", "--help=yes"])
def test_an_unknown_option_gets_the_list(line: str) -> None:
    with pytest.raises(ValueError, match=line.split()[0]) as failed:
        parse(line)
    for option in OPTIONS:
        assert option in str(failed.value)


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

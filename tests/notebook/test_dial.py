"""What the context dial lets out, and how it says what it does not."""

from __future__ import annotations

import pytest

from agent_lab.notebook.dial import LEVELS, Dial, Result, let_out, read, sent
from agent_lab.protocol.events import (
    ContextDial,
    ContextItem,
    DialLevel,
    ImageBlock,
    ResourceBlock,
    TextBlock,
)

ERROR = ContextItem(
    type="error", label="KeyError: 'Ada'", text="printed Ada", source="df['x']", ename="KeyError",
    evalue="'Ada'", traceback="line 1\nKeyError: 'Ada'", execution_count=3,
)  # fmt: skip
FRAME = ContextItem(
    type="variable", name="df", label="df",
    text="df: DataFrame 3\u00d72, 5.0 kB\n  name: object\n  n: int64",
)  # fmt: skip
NUMBER = ContextItem(type="variable", name="x", label="x", text="x: int, 41")


def left(item: ContextItem) -> str:
    return "\n".join((item.label, item.text, item.evalue, item.traceback, item.ename))


@pytest.mark.parametrize("level", LEVELS)
def test_each_level_lets_out_what_it_says(level: DialLevel) -> None:
    error = let_out(Dial(level), ERROR)
    assert error.source == "df['x']"  # the person's own words
    assert ("KeyError" in left(error)) == (level != "off")
    assert ("Ada" in left(error)) == (level in ("summary", "sample", "full"))
    assert ("printed" in error.text) == (level in ("sample", "full"))
    said = '[… not sent: the context dial of this folder is at "'
    assert (said in left(error)) == (level in ("off", "schema", "summary"))

    number = let_out(Dial(level), NUMBER)
    assert ("41" in left(number)) == (level in ("summary", "sample", "full"))
    assert ("int" in left(number)) == (level != "off")
    frame = let_out(Dial(level), FRAME)
    assert ("n: int64" in frame.text) == (level != "off")

    picture = ImageBlock("image/png", "aGVsbG8=")
    [out] = let_out(Dial(level), Result("outputs", (picture,))).content
    assert (out == picture) == (level in ("sample", "full"))
    assert isinstance(out, ImageBlock) or said in out.text
    [plain] = let_out(Dial(level), Result("plain", (TextBlock("cell source"),))).content
    assert plain == TextBlock("cell source")


def test_the_words_name_the_level() -> None:
    item = let_out(Dial("schema"), ERROR)
    assert item.traceback == ('[… not sent: the context dial of this folder is at "schema only"]')


def test_a_sample_has_both_ends() -> None:
    text = "\n".join(f"row {number}" for number in range(10_000))
    [out] = let_out(Dial("sample"), Result("outputs", (TextBlock(text),))).content
    assert isinstance(out, TextBlock)
    assert len(out.text) < 8500
    lines = out.text.splitlines()
    assert (lines[0], lines[-1]) == ("row 0", "row 9999")
    assert "9,900 lines [… not sent" in out.text
    [out] = let_out(Dial("sample"), Result("outputs", (TextBlock("x" * 100_000),))).content
    assert isinstance(out, TextBlock)
    assert len(out.text) < 8500
    short = TextBlock("\n".join("ab"))
    assert let_out(Dial("sample"), Result("outputs", (short,))).content == (short,)


def test_keys_leave_at_no_level_and_from_nowhere() -> None:
    key = "ghp_" + "a1B2" * 9
    for kind in ("outputs", "error", "value", "names", "plain"):
        result = Result(kind, (TextBlock(key), ResourceBlock("u", text=key)))
        for block in let_out(Dial("full"), result).content:
            assert not isinstance(block, ImageBlock)
            assert block.text == "[masked: API key]"
    for type_ in ("cell", "output", "error", "variable", "selection", "terminal", "file", "diff",
                  "since", "trial"):  # fmt: skip
        item = ContextItem(
            type=type_,
            label=key, text=key, source=key, evalue=key, traceback=key, name=key,
        )  # fmt: skip
        assert key not in str(let_out(Dial("full"), item))


PANDAS = """     name        ssn  amount
0     Ada  123-45-67     1.5
11  Grace  987-65-43    22.5

[12 rows x 3 columns]"""
MARKDOWN = "| name | ssn |\n|---|---|\n| Ada | 123-45-67 |\n"


@pytest.mark.parametrize("column", ["ssn", "SSN"])
def test_a_columns_values_are_hidden_in_tables(column: str) -> None:
    dial = Dial("full", columns=(column,))
    for text in (PANDAS, MARKDOWN):
        [out] = let_out(dial, Result("outputs", (TextBlock(text),))).content
        assert isinstance(out, TextBlock)
        assert "123-45" not in out.text
        assert "987-65" not in out.text
        assert "Ada" in out.text
        assert "[masked: column]" in out.text
    first = "         ssn  amount\n0  123-45-67     1.5\n1  987-65-43     2.5"
    [out] = let_out(dial, Result("outputs", (TextBlock(first),))).content
    assert out == TextBlock(
        "         ssn  amount\n0 [masked: column]     1.5\n1 [masked: column]     2.5"
    )


@pytest.mark.parametrize(
    "text",
    [
        "{'ssn': '123-45-67'}",
        "0    123-45-67\n1    987-65-43\nName: ssn, dtype: object",
        "\u2502 ssn \u2502\n\u2502 123-45-67 \u2502",
        "ssn\n123-45-67 is Ada's",
        "name ssn\nAda Lovelace 123-45-67",
        "| ssn | x |\n|---|---|\n| 123-45-67 | a|b | c |",
        "        ssn\nJohn 123-45-67",
    ],
)
def test_what_is_no_readable_table_stays_here(text: str) -> None:
    both = f"before\n\n{text}\n\nafter"
    [out] = let_out(Dial("full", columns=("ssn",)), Result("outputs", (TextBlock(both),))).content
    assert isinstance(out, TextBlock)
    assert "123-45-67" not in out.text
    assert out.text.startswith("before\n\n[… not sent: lines that show the masked column")
    assert out.text.endswith("\n\nafter")


def test_the_two_sides_of_a_folders_dial() -> None:
    settings = ContextDial(masks=("x1",), columns=("c",))
    assert sent(settings) == Dial("full", ("x1",), ("c",))
    assert read(settings) == Dial("sample", ("x1",), ("c",))

"""What a cell would do, read from its text alone."""

from __future__ import annotations

import pytest

from agent_lab.notebook.effects import Took, durations, effects
from agent_lab.protocol.reports import Variable

KNOWN = (
    Variable("df", "pandas.DataFrame", "table", shape=(1_000_000, 12), size=96_000_000),
    Variable("x", "int", "number", "1"),
    Variable("items", "list", "collection", length=3),
    Variable("arr", "numpy.ndarray", "array", shape=(10,)),
    Variable("model", "sklearn.linear_model.LinearRegression", "other"),
    Variable("fig", "matplotlib.figure.Figure", "other"),
    Variable("clean", "function", "callable", "clean(df)"),
    Variable("Thing", "class", "class"),
    Variable("np", "module", "module", "numpy"),
    Variable("pd", "module", "module", "pandas"),
    Variable("os", "module", "module", "os"),
    Variable("mylib", "module", "module", "mylib"),
)

TABLE = [
    # reading and new names change nothing
    ("df.head()", ""),
    ("y = df.groupby('a').mean()", ""),
    ("import numpy as np", ""),
    ("import numpy as np\nnp.mean(arr)", ""),
    ("print(len(items), sum(arr), np.std(arr))", ""),
    ("def area(w, h):\n    df = 1\n    return w * h", ""),
    ("new = [x for x in range(3)]", ""),
    ("df.to_csv()", ""),
    ("text = open('a.txt').read()", ""),
    ("df?", ""),
    ("%matplotlib inline\n%time df.sum()", ""),
    ("[q := 1]", ""),
    ("handler = lambda: exec('x')", ""),
    # names
    ("x = 2", "rebinds x"),
    ("x += 1", "rebinds x"),
    ("x: int = 2", "rebinds x"),
    ("x: int", ""),
    ("a, (x, *items) = 1, (2, 3)", "rebinds x; rebinds items"),
    ("for x in range(3): pass", "rebinds x"),
    ("with open('f') as x: pass", "rebinds x"),
    ("import pandas as df", "rebinds df"),
    ("def clean(): pass", "rebinds clean"),
    ("class Thing: pass", "rebinds Thing"),
    ("if (x := 5): pass", "rebinds x"),
    ("try: pass\nexcept OSError as x: pass", "rebinds x?"),
    ("match arr:\n    case [x, *items]: pass", "rebinds x?; rebinds items?"),
    ("if df.empty:\n    x = 1", "rebinds x?"),
    ("x = 1\nif True:\n    x = 2", "rebinds x"),
    ("from mylib import *", "unknown from mylib import *?"),
    ("def f():\n    global x\n    x = 1\nf()", "rebinds x?"),
    # in place
    ("df['b'] = 1", "rebinds df['b']"),
    ("df.loc[0, 'b'] = 1", "rebinds df.loc[0, 'b']"),
    ("df.b = 1", "rebinds df.b"),
    ("df.drop(columns='b', inplace=True)", "rebinds df"),
    ("items.append(1)", "rebinds items"),
    ("arr.sort()", "rebinds arr"),
    ("np.random.shuffle(arr)", "rebinds arr"),
    ("del items[0]", "rebinds items[0]"),
    ("frame = df\nframe['b'] = 1", "rebinds frame['b']"),
    ("frame = df.copy()\nframe['b'] = 1", ""),
    ("df = df.copy()\ndf['b'] = 1", "rebinds df"),
    ("os.environ['A'] = 'b'", "rebinds os.environ['A']"),
    # deleted
    ("del df, x", "deletes df; deletes x"),
    ("del nothing", ""),
    ("%reset -f", "deletes all variables"),
    ("exit()", "deletes all variables"),
    ("os._exit(0)", "deletes all variables"),
    ("import os\nos.remove('data.csv')", "deletes data.csv"),
    ("import shutil as s\ns.rmtree('out')", "deletes out"),
    ("from pathlib import Path\nPath('a.txt').unlink()", "deletes a.txt"),
    # written
    ("df.to_csv('out.csv', index=False)", "writes out.csv"),
    ("df.to_parquet(path=name)", "writes name"),
    ("df.to_sql('sales', con)", "writes sales"),
    ("fig.savefig('plot.png')", "writes plot.png"),
    ("import matplotlib.pyplot as plt\nplt.savefig(f'{x}.png')", "writes ….png"),
    ("np.save('a.npy', arr)", "writes a.npy"),
    ("import torch\ntorch.save(model, 'm.pt')", "writes m.pt"),
    ("import joblib\njoblib.dump(model, 'm.joblib')", "writes m.joblib"),
    ("open('log.txt', 'a').write('x')", "writes log.txt"),
    ("open('log.txt', mode='w')", "writes log.txt"),
    ("open('log.txt', how)", "writes log.txt?"),
    ("from pathlib import Path\nPath('a.txt').write_text('x')", "writes a.txt"),
    ("%%writefile script.py\nprint(1)", "writes script.py"),
    ("with open(target, 'wb') as f:\n    f.write(b'')", "writes target"),
    ("def save():\n    df.to_csv('a.csv')", ""),
    ("def save():\n    df.to_csv('a.csv')\nsave()", "writes a.csv?"),
    # installed
    ("%pip install -q polars 'numpy<2'", "installs polars; installs numpy<2"),
    ("!pip install -r requirements.txt", "installs requirements.txt (a list of packages)"),
    ("!{sys.executable} -m pip install rich", "installs rich"),
    ("%conda install scipy", "installs scipy"),
    ("import subprocess\nsubprocess.run(['pip', 'install', 'rich'])", "installs rich"),
    ("import os\nos.system('pip uninstall -y rich')", "installs rich"),
    # programs
    ("!ls -la", "runs ls -la"),
    ("files = !ls", "runs ls"),
    ("!echo hi > out.txt", "runs echo hi > out.txt; writes out.txt?"),
    ("!echo hi 2>/dev/null", "runs echo hi 2>/dev/null"),
    ("%%bash\ncd /tmp\nrm x", "runs cd /tmp; runs rm x"),
    ("%run other.py", "runs %run other.py"),
    ("import subprocess\nsubprocess.run(command)", "runs subprocess.run(…)"),
    ("get_ipython().system('ls')", "runs ls"),
    # unknown, said plainly
    ("exec(source)", "unknown exec(…)?"),
    ("eval('1')", "unknown eval(…)?"),
    ("clean(df)", "unknown clean(…)?"),
    ("mylib.deploy()", "unknown mylib.deploy(…)?"),
    ("from mylib import go\ngo()", "unknown mylib.go(…)?"),
    ("model.fit(df, arr)", "unknown model.fit(…)?"),
    ("import requests\nrequests.post('http://a', data=1)", "unknown requests.post(…)?"),
    ("globals()['x'] = 1", "unknown globals(…)?"),
    ("handlers[0]()", "unknown handlers[0](…)?"),
    ("%%sql\nselect 1", "unknown %%sql?"),
    ("%autotune", "unknown %autotune?"),
    ("x = (1", "unknown the cell?"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), TABLE, ids=[code for code, _ in TABLE])
def test_a_cell_is_read_rightly(code: str, expected: str) -> None:
    found = effects(code, KNOWN)
    said = sorted(f"{one.kind} {one.name}{'' if one.certain else '?'}" for one in found)
    assert said == sorted(part for part in expected.split("; ") if part)


def test_what_is_lost_is_told_with_its_size_and_the_time_it_took() -> None:
    took = durations([("df = load()", Took(95.0, 3)), ("df = load()\nx = 1", Took(312.0, 12))])
    (effect,) = effects("df = None", KNOWN, took)
    times = "\N{MULTIPLICATION SIGN}"
    made = "took 5 min to compute, in cell [12]"
    assert effect.detail == f"DataFrame, 1,000,000 {times} 12, 96 MB, {made}"
    (effect,) = effects("items = []", KNOWN, {"items": Took(41.2)})
    assert effect.detail == "list, 3 items, took 41 s to compute"


@pytest.mark.parametrize(
    ("size", "said"),
    [(1_204_000_000, "1.2 GB"), (999_700, "1 MB"), (134_100_000, "134 MB"), (2_050, "2.05 kB")],
)
def test_sizes_are_told_as_people_say_them(size: int, said: str) -> None:
    (effect,) = effects("df = 1", [Variable("df", "pandas.DataFrame", "table", size=size)])
    assert effect.detail == f"DataFrame, {said}"


def test_a_second_name_is_told_for_what_it_is() -> None:
    (effect,) = effects("frame = df\nframe['b'] = 1", KNOWN)
    assert "also df" in effect.detail


def test_another_language_is_not_guessed_at() -> None:
    (effect,) = effects("rm(list = ls())", KNOWN, language="R")
    assert (effect.kind, effect.certain) == ("unknown", False)


@pytest.mark.parametrize("code", ["(" * 5000, "x" * 100_000, "\x00", "!", "%", "%%", "%%\n", "\\"])
def test_no_text_breaks_the_reading(code: str) -> None:
    effects(code, KNOWN)


def test_a_flood_of_effects_is_bounded() -> None:
    found = effects("\n".join(f"!run {n}" for n in range(1000)))
    assert len(found) == 50

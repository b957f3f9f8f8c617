"""Trials in a copy of a real kernel: what they show, what they may not, what is left of them."""

from __future__ import annotations

import ast
import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from agent_lab.notebook.trial import Refused, side, try_code
from agent_lab.protocol.reports import TrialReport
from tests.notebook.live import LiveKernel, live_kernel

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="trials need Linux")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveKernel]:
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "tmp").mkdir()
    with live_kernel(folder, environment={"TMPDIR": str(folder / "tmp")}) as running:
        running.run(
            "import numpy as np, pandas as pd, matplotlib.pyplot as plt\n"
            "df = pd.DataFrame({'a': [1, 2, 3]})\nx = 5"
        )
        yield running


@pytest.fixture(autouse=True)
def untouched(kernel: LiveKernel) -> Iterator[None]:
    """Whatever a trial does, the kernel answers as before, and nothing of the trial is left."""
    state = "import warnings\nprint(x, df.to_dict(), plt.get_fignums(), len(warnings.filters))"
    before = kernel.run(state)
    yield
    assert kernel.run(state) == before
    # The kernel tells the end of a trial before its thread has put everything away.
    eventually(lambda: not list((kernel.folder.parent / "tmp").glob("agent-lab-trial*")))
    eventually(lambda: not psutil.Process(kernel.pid).children(recursive=True))


def eventually(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


async def children(pid: int, least: int) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    while len(found) < least:
        await asyncio.sleep(0.01)
        found = psutil.Process(pid).children(recursive=True)
    return found


def tried(kernel: LiveKernel, code: str, seconds: float = 20, memory: int = 1 << 30) -> TrialReport:
    found = kernel.do(try_code(kernel.manager, code, seconds, memory))
    assert isinstance(found, TrialReport), found
    return found


def text(report: TrialReport) -> str:
    return side(report).text


# ---------------------------------------------------------------- what is shown


def test_code_runs_on_the_live_data_and_leaves_it_alone(kernel: LiveKernel) -> None:
    report = tried(kernel, "x = x + 1\ndf['b'] = df.a * 2\nprint('sum', df.b.sum())\nx")
    assert report.status == "ok"
    assert report.outputs == (
        {"output_type": "stream", "name": "stdout", "text": "sum 12\n"},
        {
            "output_type": "execute_result",
            "data": {"text/plain": "6"},
            "metadata": {},
            "execution_count": None,
        },
    )
    assert report.memory
    assert 0 < report.seconds < 10


def test_a_table_and_a_plot_come_as_a_notebook_shows_them(kernel: LiveKernel) -> None:
    report = tried(kernel, "display(df)\nplt.plot([1, 2])")
    table, result, plot = report.outputs
    assert "text/html" in table["data"]
    assert result["output_type"] == "execute_result"
    assert plot["data"]["image/png"].startswith("iVBOR")


def test_an_error_has_its_traceback(kernel: LiveKernel) -> None:
    report = tried(kernel, "print('before')\n1/0")
    assert (report.status, report.error) == ("error", "ZeroDivisionError: division by zero")
    printed, error = report.outputs
    assert (printed["text"], error["ename"]) == ("before\n", "ZeroDivisionError")
    assert error["traceback"]


@pytest.mark.parametrize(
    ("code", "status", "shown"),
    [
        ("import asyncio\nawait asyncio.sleep(0.01)\n'awaited'", "ok", "awaited"),
        ("%time 1 + 1", "ok", "Wall time"),
        ("!echo from the shell", "ok", "from the shell"),
        ("import os; os.system('echo by hand')", "ok", "by hand"),
        ("import sys; print('warned', file=sys.stderr)", "ok", "warned"),
        ("import threading\nt = threading.Thread(target=print, args=['thread'])\n"
         "t.start(); t.join()", "ok", "thread"),
        ("np.ones((500, 500)).dot(np.ones((500, 500))).sum()", "ok", "125000000.0"),
        ("1;", "ok", ""),
        ("x = (", "error", "SyntaxError"),
        ("import sys; sys.exit(3)", "error", "SystemExit"),
        ("import os; os._exit(3)", "error", ""),
        ("input('name?')", "error", "cannot ask for input"),
        ("bytearray(3 << 30)", "memory", "MemoryError"),
        ("print('first', flush=True)\nimport ctypes; ctypes.string_at(0)", "signal", "first"),
        ("import os; os.kill(os.getpid(), 9)", "signal", ""),
    ],
    ids=lambda value: value.replace("\n", " ")[:40] if isinstance(value, str) else None,
)  # fmt: skip
def test_it_ends_as_it_would(kernel: LiveKernel, code: str, status: str, shown: str) -> None:
    report = tried(kernel, code)
    assert report.status == status, report
    assert shown in text(report)


def test_a_display_is_updated_and_an_output_cleared(kernel: LiveKernel) -> None:
    report = tried(
        kernel,
        "from IPython.display import clear_output, display\n"
        "print('gone')\nclear_output()\n"
        "shown = display('old', display_id=True)\nshown.update('new')\nprint('kept')",
    )
    assert [one.get("text") or one["data"]["text/plain"] for one in report.outputs] == [
        "'new'",
        "kept\n",
    ]


def test_random_numbers_are_those_of_the_real_run(kernel: LiveKernel) -> None:
    kernel.run("import random; random.seed(1); np.random.seed(1)")
    draw = "(random.random(), np.random.rand())"
    twice = [text(tried(kernel, draw)) for _ in range(2)]
    assert twice[0] == twice[1] == kernel.run(draw)


# ---------------------------------------------------------------- limits


def test_an_endless_loop_is_stopped_with_what_it_showed(kernel: LiveKernel) -> None:
    report = tried(kernel, "print('before')\nwhile True: pass", seconds=0.5)
    assert (report.status, text(report)) == ("timeout", "before")
    assert "0.5 s" in report.error


def test_memory_that_it_makes_its_own_is_limited(kernel: LiveKernel) -> None:
    kernel.run("big = np.ones(30_000_000)")
    read = tried(kernel, "big.sum()", memory=100 << 20)
    assert read.status == "ok"  # reading copies nothing
    written = tried(kernel, "import time\nbig += 1\ntime.sleep(5)", memory=100 << 20)
    assert written.status == "memory"
    assert kernel.run("print(big[0], big[-1])\ndel big") == "1.0 1.0"


def test_a_flood_keeps_both_ends(kernel: LiveKernel) -> None:
    report = tried(
        kernel, "print('begin')\nfor n in range(300): print('-' * 100_000)\nprint('end')"
    )
    shown = str(report.outputs[0]["text"])
    assert shown.startswith("begin")
    assert shown.endswith("end\n")
    assert "left out" in shown
    assert len(shown) < 300_000


# ---------------------------------------------------------------- what it may not


def test_files_are_written_to_a_scratch_folder(kernel: LiveKernel) -> None:
    (kernel.folder / "there.txt").write_text("old\n")
    report = tried(
        kernel,
        "import os, numpy\nfrom pathlib import Path\n"
        "df.to_csv('out.csv', index=False)\nprint(open('out.csv').read())\n"
        "os.makedirs('made/deep'); Path('made/deep/x.txt').write_text('x')\n"
        "with open('there.txt', 'a') as file: file.write('new')\n"
        "print(open('there.txt').read(), os.path.exists('made/deep/x.txt'))\n"
        "numpy.save('a.npy', numpy.ones(3)); plt.plot([1]); plt.savefig('plot.png'); plt.close()\n"
        "Path('out.csv').rename('renamed.csv')",
    )
    assert report.status == "ok", text(report)
    assert "a\n1\n2\n3" in text(report)
    assert "old\nnew True" in text(report)
    assert [one.path for one in report.files] == [
        "a.npy", "made/deep/x.txt", "plot.png", "renamed.csv", "there.txt",
    ]  # fmt: skip
    assert {one.name for one in kernel.folder.iterdir()} == {"there.txt"}
    assert (kernel.folder / "there.txt").read_text() == "old\n"


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.open('made', os.O_CREAT | os.O_WRONLY)",
        "import os; os.remove('kept')",
        "import os; os.truncate('kept', 0)",
        "!touch made || false",
        "!rm kept",
        "import pyarrow, pyarrow.parquet as p; p.write_table(pyarrow.table({'a': [1]}), 'made')",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'open(\"made\", \"w\")'])",
        "import os; os.chmod('kept', 0)",
    ],
)
def test_no_file_of_the_person_is_changed(kernel: LiveKernel, code: str) -> None:
    kept = kernel.folder / "kept"
    kept.write_text("as it was")
    mode = kept.stat().st_mode
    tried(kernel, code)
    assert not (kernel.folder / "made").exists()
    assert (kept.read_text(), kept.stat().st_mode) == ("as it was", mode)
    kept.unlink()


def test_nothing_is_connected_to(kernel: LiveKernel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        listening.settimeout(0.2)
        report = tried(kernel, f"import socket; socket.create_connection(('127.0.0.1', {port}))")
        assert (report.status, report.error.partition(":")[0]) == ("error", "PermissionError")
        with pytest.raises(TimeoutError):
            listening.accept()
    report = tried(kernel, "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)")
    assert report.status == "error"


def test_no_other_process_is_signalled(kernel: LiveKernel) -> None:
    pid = kernel.pid
    report = tried(kernel, f"import os, signal; os.kill({pid}, signal.SIGTERM)")
    assert report.error.startswith("PermissionError")
    assert kernel.pid == pid


def test_open_files_are_its_own(kernel: LiveKernel) -> None:
    kernel.run(
        "import sqlite3\n"
        "source = open('source.txt', 'w+'); _ = source.write('one\\ntwo\\n'); source.flush()\n"
        "_ = source.seek(0); first = source.readline()\n"
        "target = open('target.txt', 'w'); _ = target.write('kept')\n"
        "base = sqlite3.connect('base.db'); _ = base.execute('create table t (n)'); base.commit()"
    )
    report = tried(
        kernel,
        "import os\nprint(os.read(source.fileno(), 100))\n"
        "target.write('lost'); target.flush()\nprint('wrote')\n"
        "base.execute('insert into t values (1)')",
    )
    assert "wrote" in text(report)
    assert report.status == "error"  # the database
    told = kernel.run(
        "target.close()\n"
        "print(repr(source.readline()), open('target.txt').read(),"
        " list(base.execute('select * from t')))\nsource.close(); base.close()"
    )
    assert told == "'two\\n' kept []"
    for name in ("source.txt", "target.txt", "base.db"):
        (kernel.folder / name).unlink()


def test_a_semaphore_of_the_kernel_is_not_taken(kernel: LiveKernel) -> None:
    kernel.run("import multiprocessing\nshared = multiprocessing.Lock()")
    assert tried(kernel, "shared.acquire()").status == "ok"
    assert kernel.run("print(shared.acquire(timeout=5))\nshared.release()") == "True"


# ---------------------------------------------------------------- processes


def test_whatever_it_starts_ends_with_it(kernel: LiveKernel) -> None:
    """Also what left its process group and its parent."""
    report = tried(
        kernel,
        "import subprocess\n"
        "away = subprocess.Popen(['sh', '-c', 'setsid sleep 1000 & setsid sleep 1000'],"
        " start_new_session=True)\nimport time; time.sleep(0.3)\nprint('left')",
    )
    assert text(report) == "left"
    left = psutil.process_iter(["cmdline"])  # one that is just being buried has no words any more
    assert not [one for one in left if (one.info["cmdline"] or [])[-2:] == ["sleep", "1000"]]


def test_cancelled_it_is_gone_at_once(kernel: LiveKernel) -> None:
    pid = kernel.pid

    async def cancelled() -> None:
        trial = asyncio.create_task(try_code(kernel.manager, "import time; time.sleep(100)"))
        await children(pid, 2)
        trial.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trial

    began = time.monotonic()
    kernel.do(cancelled())
    eventually(lambda: not psutil.Process(pid).children(recursive=True))
    assert time.monotonic() - began < 10
    assert tried(kernel, "1").status == "ok"


def test_twenty_trials_leave_no_descriptor_and_no_thread(kernel: LiveKernel) -> None:
    def counted() -> tuple[int, int]:
        code = "import os, threading; len(os.listdir('/proc/self/fd')), threading.active_count()"
        descriptors, threads = ast.literal_eval(kernel.run(code))
        return descriptors, threads

    tried(kernel, "1")
    # Its thread ends a moment after it has told: what is counted before is without it.
    threads = "[one.name for one in __import__('threading').enumerate()]"
    eventually(lambda: "agent_lab: trial" not in kernel.told(threads))
    before = counted()
    for _ in range(20):
        tried(kernel, "1")
    eventually(lambda: counted() == before)


def test_a_killed_kernel_takes_its_trial_with_it(tmp_path: Path) -> None:
    with live_kernel(tmp_path, environment={"TMPDIR": str(tmp_path)}) as kernel:
        pid = kernel.pid
        code = "import subprocess; subprocess.run(['setsid', 'sleep', '1001'])"

        async def killed() -> list[psutil.Process]:
            trial = asyncio.create_task(try_code(kernel.manager, code, 60))
            found = await children(pid, 3)
            os.kill(pid, signal.SIGKILL)
            trial.cancel()
            await asyncio.gather(trial, return_exceptions=True)
            return found

        found = kernel.do(killed())
        eventually(lambda: not any(_alive(one) for one in found))
        eventually(lambda: not list(tmp_path.glob("agent-lab-trial*")))


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# ---------------------------------------------------------------- refused


def refusal(kernel: LiveKernel, code: str = "1") -> str:
    found = kernel.do(try_code(kernel.manager, code))
    assert isinstance(found, Refused), found
    return found.reason


def test_a_running_cell_refuses_and_nothing_starts_later(kernel: LiveKernel) -> None:
    kernel.begin("import time; time.sleep(3)")
    assert refusal(kernel, "import time; time.sleep(50)") == "a cell is running"
    kernel.run("1")  # the cell is over, and the trial's turn has come
    assert not psutil.Process(kernel.pid).children(recursive=True)


def test_threads_of_the_person_refuse(kernel: LiveKernel) -> None:
    kernel.run(
        "import threading\nstop = threading.Event()\n"
        "thread = threading.Thread(target=stop.wait, name='my loader'); thread.start()"
    )
    assert "my loader" in refusal(kernel)
    kernel.run("stop.set(); thread.join()")
    assert tried(kernel, "1").status == "ok"


def test_memory_that_is_shared_with_a_file_refuses(kernel: LiveKernel) -> None:
    kernel.run("mapped = np.memmap('mapped', shape=100_000, mode='w+')")
    assert "mapped" in refusal(kernel)
    kernel.run("del mapped")
    assert tried(kernel, "1").status == "ok"
    (kernel.folder / "mapped").unlink()


def test_two_trials_at_once_refuse_the_second(kernel: LiveKernel) -> None:
    async def both() -> list[TrialReport | Refused]:
        first = try_code(kernel.manager, "import time; time.sleep(1)")
        second = try_code(kernel.manager, "2")
        return list(await asyncio.gather(first, second))

    found = kernel.do(both())
    assert {type(one) for one in found} == {Refused, TrialReport}


def test_more_memory_than_there_is_refuses(kernel: LiveKernel) -> None:
    found = kernel.do(try_code(kernel.manager, "1", memory=1 << 36))
    assert isinstance(found, Refused)
    assert "memory" in found.reason


def test_a_library_that_breaks_refuses(kernel: LiveKernel) -> None:
    kernel.run("import sys, types\nsys.modules['jax'] = types.ModuleType('jax')")
    assert refusal(kernel).startswith("jax is loaded")
    kernel.run("del sys.modules['jax']")


def test_parallel_libraries_that_were_used_before_work(tmp_path: Path) -> None:
    """Their teams of threads are not in the copy: it would wait for them for ever."""
    torch = pytest.importorskip("torch")
    sklearn = pytest.importorskip("sklearn")
    assert torch
    assert sklearn
    with live_kernel(tmp_path) as kernel:
        kernel.run(
            "import numpy as np, torch\nfrom sklearn.cluster import KMeans\n"
            "data = np.random.rand(5000, 8)\n"
            "fit = lambda: KMeans(4, n_init=2, random_state=0).fit(data).inertia_\n"
            "multiply = lambda: torch.ones(600, 600).mm(torch.ones(600, 600)).sum().item()\n"
            "before = fit(), multiply(), np.linalg.svd(np.ones((300, 300)))[1][0]"
        )
        report = tried(kernel, "round(fit(), 6) == round(before[0], 6), multiply() == before[1]")
        assert text(report) == "(True, True)", report
        backward = (
            "w = torch.ones(3, requires_grad=True); (w * 2).sum().backward(); w.grad.tolist()"
        )
        assert text(tried(kernel, backward)) == "[2.0, 2.0, 2.0]"

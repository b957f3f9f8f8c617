"""A small agent: its first argument names what it does. Standard library only."""

import json
import os
import signal
import subprocess
import sys
import time

SLEEP = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]


def say(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def count(total: str, pause: str = "0") -> None:
    """Counts aloud, then repeats what it hears: like a turn and the turns after it."""
    for number in range(int(total)):
        say(n=number)
        if float(pause):
            time.sleep(float(pause))
    echo()


def echo() -> None:
    """Repeats each line's length and its ends, until told to end."""
    for line in sys.stdin:
        if line.strip() == "end":
            say(farewell=True)
            sys.exit(0)
        say(heard=len(line), start=line[:20].rstrip("\n"), end=line[-20:].rstrip("\n"))


def deaf() -> None:
    say(ready=True)
    time.sleep(600)


def sip() -> None:
    """Begins to read its second message, and goes on when it is told to."""
    sys.stdin.buffer.readline()
    begun = os.read(0, 100_000)
    say(sipped=len(begun))
    os.kill(os.getpid(), signal.SIGSTOP)
    message = begun + sys.stdin.buffer.readline()
    say(heard=len(message), start=message[:1].decode(), end=message[-2:].decode())
    echo()


def slowly() -> None:
    """Takes a second for a megabyte of its second message."""
    sys.stdin.buffer.readline()
    heard = b""
    while not heard.endswith(b"\n"):
        heard += os.read(0, 50_000)
        time.sleep(0.05)
    say(heard=len(heard))
    echo()


def slow(seconds: str) -> None:
    time.sleep(float(seconds))
    echo()


def stubborn() -> None:
    """Ignores requests to end, and so do its children."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(SLEEP, start_new_session=True)
    say(pids=[child.pid])
    while True:
        time.sleep(600)


def family() -> None:
    """Children out of reach of killpg: in a session of their own, daemonised, and unmarked."""
    own_session = subprocess.Popen(SLEEP, start_new_session=True)
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writing, str(os.getpid()).encode())
            os.execv(SLEEP[0], SLEEP)
        os._exit(0)
    os.wait()
    daemon = int(os.read(reading, 20))
    # A marked parent that is no child of the agent, and gives its own child an empty environment.
    nested = (
        "import subprocess, sys, time;"
        f"p = subprocess.Popen({SLEEP!r}, env={{}});"
        "print(p.pid, flush=True); time.sleep(600)"
    )
    runner = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", nested],
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert runner.stdout is not None
    unmarked = int(runner.stdout.readline())
    say(pids=[own_session.pid, daemon, runner.pid, unmarked])
    echo()


def stderr(megabytes: str) -> None:
    line = ("e" * 99 + "\n") * 10_000
    for _ in range(int(megabytes)):
        sys.stderr.write(line)
    sys.stderr.write("\x1b[31mthe last words\x1b[0m\n")
    sys.stderr.flush()
    say(done=True)
    echo()


def flood(megabytes: str) -> None:
    line = json.dumps({"flood": "f" * 980}) + "\n"
    for _ in range(int(megabytes) * 1000):
        sys.stdout.write(line)
    sys.stdout.flush()
    echo()


def burst(lines: str) -> None:
    """Says more at once than anybody can have read when it exits."""
    sys.stdout.write(
        "".join(json.dumps({"n": n, "f": "f" * 980}) + "\n" for n in range(int(lines)))
    )


def leave(code: str) -> None:
    say(leaving=True)
    sys.stderr.write("why it left\n")
    sys.exit(int(code))


def half() -> None:
    say(whole=True)
    sys.stdout.write('{"half":"no en')
    sys.stdout.flush()


def environment() -> None:
    say(**os.environ)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])

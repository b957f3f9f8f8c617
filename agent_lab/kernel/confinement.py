"""Take from this process what a copy of the kernel must not do: write, connect, grow. Linux.

A guard against what code does in good faith, no sandbox against an attacker: it still reads every
file that the person may read.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import resource
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

LANDLOCK_NEEDED = 3
"""From this version on it knows of truncating (Linux 6.2)."""
SMALL_MAPPING = 65_536

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
)  # fmt: skip

# linux/prctl.h
_PDEATHSIG, _SECCOMP, _SUBREAPER, _NO_NEW_PRIVS = 1, 22, 36, 38


def die_with_parent(signal: int) -> None:
    """The system sends us `signal` when the thread that forked us ends."""
    _libc.prctl(_PDEATHSIG, signal, 0, 0, 0)


def adopt_orphans() -> None:
    """Descendants whose parent ends become our children, so none is lost sight of."""
    _libc.prctl(_SUBREAPER, 1, 0, 0, 0)


# ---------------------------------------------------------------- memory mappings


class Mapping(NamedTuple):
    begin: int
    end: int
    mode: str
    name: str


def mappings() -> Iterator[Mapping]:
    for line in Path("/proc/self/maps").read_text(errors="replace").splitlines():
        place, mode, *rest = line.split(maxsplit=5)
        begin, _, end = place.partition("-")
        yield Mapping(int(begin, 16), int(end, 16), mode, rest[3] if len(rest) > 3 else "")


def shared(found: Mapping) -> bool:
    """Whether writing to it reaches beyond this process."""
    return found.mode.startswith("rw") and found.mode.endswith("s")


def keep_private_copies() -> None:
    """Small shared mappings (semaphores) become ours alone: the parent's are not taken or given."""
    for one in mappings():
        size = one.end - one.begin
        if shared(one) and size <= SMALL_MAPPING:
            inside = ctypes.string_at(one.begin, size)
            # PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS
            if _libc.mmap(one.begin, size, 3, 0x02 | 0x10 | 0x20, -1, 0) == one.begin:
                ctypes.memmove(one.begin, inside, size)


def one_thread_for_openmp() -> None:
    """Its teams are not copied by a fork: a parallel region would wait for them for ever."""
    names = {Path(one.name).name: one.name for one in mappings() if ".so" in one.name}
    for name, path in names.items():
        if name.startswith(("libgomp", "libiomp", "libomp")):
            ctypes.CDLL(path).omp_set_num_threads(1)


# ---------------------------------------------------------------- open files


def separate_files(keep: set[int]) -> None:
    """No descriptor but those in `keep` reaches what the parent's do.

    Files that can be read are opened again, so that their position is our own; whatever else could
    be written to or connects to somebody is `/dev/null`.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for fd in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208 - names only
        if fd in keep or fd == null:
            continue
        try:
            mode = os.fstat(fd).st_mode
        except OSError:
            continue  # the one that listed them
        if stat.S_ISDIR(mode) or (stat.S_ISCHR(mode) and _harmless(fd)):
            continue
        own = _opened_again(fd) if stat.S_ISREG(mode) else None
        inheritable = os.get_inheritable(fd)
        os.dup2(null if own is None else own, fd, inheritable)
        if own is not None:
            os.close(own)
    os.close(null)


def _harmless(fd: int) -> bool:
    return os.readlink(f"/proc/self/fd/{fd}") in (  # noqa: PTH115 - no Path needed
        "/dev/null",
        "/dev/zero",
        "/dev/random",
        "/dev/urandom",
    )


def _opened_again(fd: int) -> int | None:
    if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
        return None
    try:
        own = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
        os.lseek(own, os.lseek(fd, 0, os.SEEK_CUR), os.SEEK_SET)
    except OSError:
        return None
    return own


# ---------------------------------------------------------------- limits


def limit(seconds: float, memory: int) -> None:
    """CPU time and address space beyond what is in use now; no core file."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + memory
    _set(resource.RLIMIT_AS, most)
    _set(resource.RLIMIT_CPU, int(seconds) + 2)
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_FSIZE, memory)
    # The first to go when the machine's memory ends.
    Path("/proc/self/oom_score_adj").write_text("1000")


def _set(which: int, most: int) -> None:
    _, hard = resource.getrlimit(which)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (most, most))


def private_bytes(pid: int | str = "self") -> int:
    """Memory that is the process's own; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


# ---------------------------------------------------------------- what the system refuses


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("fd", ctypes.c_int32))


_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every architecture
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14


def landlock_version() -> int:
    """0 where the system has none."""
    return max(int(_libc.syscall(_CREATE, None, ctypes.c_size_t(0), 1)), 0)


def allow_writes_only_in(folder: Path) -> None:
    """Also no TCP and, where the system can (Linux 6.12), no signals to others.

    Raises OSError when the system does not do it.
    """
    version = landlock_version()
    writes = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))
    writes |= 1 << 13 if version >= 2 else 0
    writes |= _TRUNCATE if version >= 3 else 0
    rules = _Ruleset(writes, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _checked(_libc.syscall(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), 0))
    devices = _WRITE_FILE | (_TRUNCATE if version >= 3 else 0)
    for path, rights in ((str(folder), writes), (os.devnull, devices), ("/dev/zero", devices)):
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        beneath = _Beneath(rights, fd)
        _checked(_libc.syscall(_ADD, ruleset, 1, ctypes.byref(beneath), 0))
        os.close(fd)
    _checked(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(_libc.syscall(_RESTRICT, ruleset, 0))
    os.close(ruleset)
    _refuse_calls(with_signals=version < 6)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


class _Calls(NamedTuple):
    """System calls of one architecture. `refused` fail; `ignored` do nothing and succeed: modes,
    owners and times of files, which Landlock does not know of."""

    audit: int
    refused: Sequence[int]
    signals: Sequence[int]
    ignored: Sequence[int]


# socket, ptrace, process_vm_writev, io_uring_setup, shmget, msgget | kill, tkill, pidfd_send_signal
# chmod, fchmod, fchmodat(2), chown, fchown, lchown, fchownat, utime(s)(at), *setxattr, *removexattr
_CALLS = {
    "x86_64": _Calls(
        0xC000003E,
        (41, 101, 311, 425, 29, 68),
        (62, 200, 424),
        (90, 91, 268, 452, 92, 93, 94, 260, 132, 235, 261, 280, *range(188, 191), *range(197, 200)),
    ),
    "aarch64": _Calls(
        0xC00000B7,
        (198, 117, 271, 425, 194, 186),
        (129, 130, 424),
        (52, 53, 452, 54, 55, 88, *range(5, 8), *range(14, 17)),
    ),
}


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("true", ctypes.c_uint8),
        ("false", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


def _refuse_calls(*, with_signals: bool) -> None:
    """What Landlock leaves open: UDP and unix sockets, other processes' memory, files' modes.

    An addition only: where the system has no filters, the trial goes on without.
    """
    calls = _CALLS.get(platform.machine())
    if calls is None:
        return
    allow, fail, succeed = 0x7FFF0000, 0x00050000 | 13, 0x00050000
    load, equal, give = 0x20, 0x15, 0x06
    body: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4),
        (equal, 1, 0, calls.audit),
        (give, 0, 0, allow),
        (load, 0, 0, 0),
    ]
    refused = (*calls.refused, *(calls.signals if with_signals else ()))
    for number, result in (*((n, fail) for n in refused), *((n, succeed) for n in calls.ignored)):
        body += [(equal, 0, 1, number), (give, 0, 0, result)]
    body.append((give, 0, 0, allow))
    instructions: Any = (_Instruction * len(body))(*(_Instruction(*one) for one in body))
    program = _Program(len(body), instructions)
    _libc.prctl(_SECCOMP, 2, ctypes.byref(program), 0, 0)

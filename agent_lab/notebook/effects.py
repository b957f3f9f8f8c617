"""Tell what running a cell would do to names, files and packages, by reading it. Pure.

It reads what stands in the cell: not the functions that the cell calls, whose effects are `unknown`
and said to be so, unless they belong to a library that is known to compute only.
"""

from __future__ import annotations

import ast
import builtins
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from agent_lab.notebook.effects_known import (
    BODY_RUNS,
    CHANGES,
    COMPUTED,
    COMPUTES,
    DATA,
    ENDS,
    FILE_FUNCTIONS,
    PACKAGES,
    PATH_KEYWORDS,
    PATH_METHODS,
    QUIET_MAGICS,
    REDIRECTED,
    RUNNERS,
    RUNS_CODE,
    SECOND_ARGUMENT,
    SENDERS,
    SENDS,
    SHELL_NAMES,
    SHELLS,
    VERBS,
    WRITERS,
    Kind,
)
from agent_lab.protocol.events import Effect
from agent_lab.protocol.reports import Variable

MOST = 50
NAME = 120
TIMES = " \N{MULTIPLICATION SIGN} "

_ORDER: tuple[Kind, ...] = ("deletes", "rebinds", "writes", "installs", "runs", "unknown")


class Took(Struct, frozen=True):
    """How long a cell ran; `count` is what people call it, None: it was no cell of a notebook."""

    seconds: float
    count: int | None = None


def effects(
    code: str,
    known: Iterable[Variable] = (),
    took: Mapping[str, Took] | None = None,
    language: str = "python",
) -> tuple[Effect, ...]:
    """`known` is what is in memory now; `took` which run made a name (`durations` tells it from a
    kernel's history)."""
    if language != "python":
        return (Effect("unknown", "", f"cells in {language} cannot be read", False),)
    reader = _Reader({one.name: one for one in known}, took or {})
    reader.read(code)
    return reader.found()


def durations(history: Iterable[tuple[str, Took]]) -> dict[str, Took]:
    """For each name the latest run that made it; `history` is (source, run)."""
    found: dict[str, Took] = {}
    for code, took in history:
        tree, _ = _parsed(code)
        for node in ast.walk(tree) if tree is not None else ():
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found[node.id] = took
    return found


# ---------------------------------------------------------------- IPython's own lines

_COMMAND = re.compile(
    r"^(?P<indent>\s*)(?:(?P<target>[\w, ]+?)\s*=\s*)?(?P<mark>%{1,2}|!{1,2})(?P<rest>\S.*)$"
)
_HELP = re.compile(r"^\s*\?{0,2}[\w.%*]+\?{1,2}\s*$|^\s*\?{1,2}[\w.%*]+\s*$")


def _parsed(code: str) -> tuple[ast.Module | None, list[str]]:
    """The Python in a cell, None when it is none; and its lines that are not Python."""
    try:
        return ast.parse(code), []
    except (SyntaxError, ValueError, RecursionError):
        pass
    lines, commands = [], []
    waiting = ""
    for line in code.splitlines():
        if waiting or (match := _COMMAND.match(line)):
            whole = f"{waiting}{line.strip()}"
            if whole.endswith("\\"):
                waiting = whole[:-1]
                lines.append("")
                continue
            waiting = ""
            match = _COMMAND.match(whole)
            indent = line[: len(line) - len(line.lstrip())]
            target = match["target"] if match else None
            commands.append(f"{match['mark']}{match['rest']}" if match else whole)
            lines.append(f"{indent}{target} = None" if target else f"{indent}pass")
        else:
            lines.append("pass" if _HELP.match(line) else line)
    try:
        return ast.parse("\n".join(lines)), commands
    except (SyntaxError, ValueError, RecursionError):
        return None, commands


class _Reader:
    """Reads one cell. Names that the cell binds itself are its own from then on."""

    def __init__(self, known: Mapping[str, Variable], took: Mapping[str, Took]) -> None:
        self._known, self._took = known, took
        self._effects: dict[tuple[Kind, str], Effect] = {}
        self._modules = {
            one.name: one.value for one in known.values() if one.kind == "module" and one.value
        }
        self._functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        self._own: set[str] = set()
        self._aliases: dict[str, str] = {}
        self._inside: set[str] = set()

    def found(self) -> tuple[Effect, ...]:
        by_kind = sorted(self._effects.values(), key=lambda one: _ORDER.index(one.kind))
        return tuple(by_kind[:MOST])

    def _add(self, kind: Kind, name: str, detail: str = "", certain: bool = True) -> None:
        name = name if len(name) <= NAME else f"{name[: NAME - 1]}…"
        before = self._effects.get((kind, name))
        if before is None or (certain and not before.certain):
            self._effects[kind, name] = Effect(kind, name, detail, certain)

    # ------------------------------------------------------------ cells and lines

    def read(self, code: str) -> None:
        first, _, body = code.lstrip("\n").partition("\n")
        if first.startswith("%%") and first[2:3].strip():
            self._cell_magic(first[2:].strip(), body)
            return
        tree, commands = _parsed(code)
        for command in commands:
            self._command(command)
        if tree is None:
            self._add("unknown", "the cell", "it is not valid Python", False)
            return
        self._block(tree.body, True)

    def _cell_magic(self, line: str, body: str) -> None:
        name, _, rest = line.partition(" ")
        if name in BODY_RUNS:
            if name in ("time", "timeit") and rest.strip() and not rest.strip().startswith("-"):
                self.read(rest)
            self.read(body)
        elif name in SHELLS:
            self._shell(body)
        elif name in ("writefile", "file"):
            path = [word for word in rest.split() if not word.startswith("-")]
            self._add("writes", path[0] if path else "a file", "file")
        elif name not in ("html", "HTML", "javascript", "js", "latex", "markdown", "svg", "agent"):
            self._add("unknown", f"%%{name}", "what this magic does cannot be read", False)

    def _command(self, command: str) -> None:
        if command.startswith("!"):
            self._shell(command.lstrip("!"))
            return
        name, _, rest = command.lstrip("%").partition(" ")
        if name in ("pip", "conda", "mamba", "uv"):
            self._shell(f"{name} {rest}")
        elif name in ("time", "timeit", "prun", "memit"):
            words = rest.split()
            while words and words[0].startswith("-"):
                words = words[2:] if len(words[0]) == 2 and len(words) > 1 else words[1:]
            self.read(" ".join(words))
        elif name in ("run", "load_ext", "reload_ext"):
            self._add("runs" if name == "run" else "unknown", f"%{name} {rest}".strip(),
                      "" if name == "run" else "what the extension does cannot be read",
                      name == "run")  # fmt: skip
        elif name in ("reset", "reset_selective", "xdel"):
            what = rest.split()[-1] if name == "xdel" and rest.split() else "all variables"
            self._add("deletes", what, f"%{name}", name != "reset_selective")
        elif name in ("sx", "system", "bash", "sh"):
            self._shell(rest)
        elif name not in QUIET_MAGICS:
            self._add("unknown", f"%{name}", "what this magic does cannot be read", False)

    def _shell(self, command: str) -> None:
        for line in command.splitlines():
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            if PACKAGES.search(f" {text}"):
                self._packages(text)
            else:
                self._add("runs", text, "a command of the shell")
            for path in REDIRECTED.findall(text):
                if path != "/dev/null":
                    self._add("writes", path.strip("'\""), "file", False)

    def _packages(self, command: str) -> None:
        words = _words(command)
        for verb, detail in VERBS.items():
            if verb in words:
                after = words[words.index(verb) + 1 :]
                names, skip = [], False
                for word in after:
                    if skip:
                        names.append(f"{word} (a list of packages)")
                        skip = False
                    elif word in ("-r", "--requirement", "--file", "-f"):
                        skip = True
                    elif word in ("|", "&&", ";", ">"):
                        break
                    elif not word.startswith("-"):
                        names.append(word)
                for name in names or ["packages"]:
                    self._add("installs", name, detail)
                return
        self._add("runs", command, "a command of the shell")

    # ------------------------------------------------------------ statements

    def _block(self, body: Sequence[ast.stmt], certain: bool) -> None:
        for at, node in enumerate(body):
            self._statement(node, certain)
            if isinstance(node, (ast.Raise, ast.Return)) and at + 1 < len(body):
                return

    def _statement(self, node: ast.stmt, certain: bool) -> None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self._functions[node.name] = node
            for each in (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults):
                self._expression(each, certain)
            self._bind(node.name, certain)
        elif isinstance(node, ast.ClassDef):
            for one in (*node.decorator_list, *node.bases):
                self._expression(one, certain)
            self._bind(node.name, certain)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            self._import(node, certain)
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                self._delete(target, certain)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            self._expression(node.value, certain)
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if isinstance(node, ast.AnnAssign) and node.value is None:
                return
            for target in targets:
                self._target(target, certain)
            self._alias(node)
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self._expression(node.iter, certain)
            self._target(node.target, certain)
            self._block(node.body, False)
            self._block(node.orelse, False)
        elif isinstance(node, (ast.If, ast.While)):
            self._expression(node.test, certain)
            self._block(node.body, False)
            self._block(node.orelse, False)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                self._expression(item.context_expr, certain)
                if item.optional_vars is not None:
                    self._target(item.optional_vars, certain)
            self._block(node.body, certain)
        elif isinstance(node, (ast.Try, ast.TryStar)):
            self._block(node.body, certain)
            for handler in node.handlers:
                if handler.name:
                    self._bind(handler.name, False)
                self._block(handler.body, False)
            self._block(node.orelse, False)
            self._block(node.finalbody, certain)
        elif isinstance(node, ast.Match):
            self._expression(node.subject, certain)
            for case in node.cases:
                for part in ast.walk(case.pattern):
                    name = getattr(part, "name", None) or getattr(part, "rest", None)
                    if isinstance(name, str):
                        self._bind(name, False)
                self._block(case.body, False)
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self._expression(child, certain)

    def _import(self, node: ast.Import | ast.ImportFrom, certain: bool) -> None:
        for alias in node.names:
            if alias.name == "*" and isinstance(node, ast.ImportFrom):
                self._add("unknown", f"from {node.module} import *", "which names it binds", False)
                continue
            name = alias.asname or alias.name.partition(".")[0]
            if isinstance(node, ast.ImportFrom):
                whole = f"{node.module or '.'}.{alias.name}"
            else:
                whole = alias.name if alias.asname else name
            old = self._known.get(name)
            # The same module once more, or the class that is there, is what it was.
            if old is not None and old.kind not in ("module", "class", "callable"):
                self._bind(name, certain)
            self._own.add(name)
            self._modules[name] = whole

    def _delete(self, target: ast.expr, certain: bool) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for one in target.elts:
                self._delete(one, certain)
        elif isinstance(target, ast.Name):
            if not self._inside and target.id in self._known:
                self._add("deletes", target.id, self._about(target.id), certain)
        else:
            self._inplace(target, certain, "an item of it is deleted")

    def _target(self, target: ast.expr, certain: bool) -> None:
        if isinstance(target, ast.Name):
            self._bind(target.id, certain)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for one in target.elts:
                self._target(one, certain)
        elif isinstance(target, ast.Starred):
            self._target(target.value, certain)
        else:
            self._inplace(target, certain, "changed in place")

    def _alias(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> None:
        """`frame = df` gives a value a second name: what changes one in place changes both."""
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Name):
            self._aliases.pop(target.id, None)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
                first = self._aliases.get(node.value.id, node.value.id)
                if first in self._known and (first not in self._own or first != node.value.id):
                    self._aliases[target.id] = first

    def _bind(self, name: str, certain: bool) -> None:
        """A name that is new changes nothing that is there."""
        if self._inside:
            return  # a function's own name
        if name in self._known and name not in self._own:
            self._add("rebinds", name, self._about(name), certain)
        self._own.add(name)
        self._modules.pop(name, None)

    def _about(self, name: str) -> str:
        variable = self._known[name]
        words = [variable.type.rpartition(".")[2]]
        if variable.shape is not None:
            words.append(TIMES.join(f"{size:,}" for size in variable.shape))
        elif variable.length is not None:
            words.append("1 item" if variable.length == 1 else f"{variable.length:,} items")
        if variable.size is not None and variable.size >= 1000:
            words.append(_bytes(variable.size))
        took = self._took.get(name)
        if took is not None and took.seconds >= 0.1:
            words.append(f"took {_seconds(took.seconds)} to compute")
            if took.count is not None:
                words.append(f"in cell [{took.count}]")
        return ", ".join(words)

    def _inplace(self, target: ast.expr, certain: bool, detail: str) -> None:
        for child in ast.iter_child_nodes(target):
            if isinstance(child, ast.expr):
                self._expression(child, certain)
        root = _root(target)
        if root is None:
            return
        first = self._aliases.get(root)
        if first is not None:
            detail = f"{detail}, as it is also {first}"
        if first is not None or (root in self._known and root not in self._own):
            about = self._about(first or root)
            self._add("rebinds", _source(target), f"{detail}: {about}", certain)
        elif root == "os" or self._modules.get(root, "").startswith("os"):
            self._add("rebinds", _source(target), "of the process", certain)

    # ------------------------------------------------------------ expressions

    def _expression(self, node: ast.expr | None, certain: bool) -> None:
        """Whatever is called in it, the inner first. A lambda's body does not run."""
        if node is None or isinstance(node, ast.Lambda):
            return
        if isinstance(node, (ast.BoolOp, ast.IfExp)):
            first, *rest = list(ast.iter_child_nodes(node))
            for at, child in enumerate((first, *rest)):
                if isinstance(child, ast.expr):
                    self._expression(child, certain and at == 0)
            return
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._expression(child, certain)
            elif isinstance(child, ast.keyword):
                self._expression(child.value, certain)
            elif isinstance(child, ast.comprehension):
                self._expression(child.iter, certain)
                for one in child.ifs:
                    self._expression(one, False)
        if isinstance(node, ast.NamedExpr):
            self._target(node.target, certain)
        elif isinstance(node, ast.Call):
            self._call(node, certain)

    def _call(self, node: ast.Call, certain: bool) -> None:
        name = self._name(node.func)
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if name in ENDS:
            self._add("deletes", "all variables", f"{name}() ends the kernel", certain)
        elif name in COMPUTED:
            self._add("unknown", f"{name}(…)", "what it does is not written in the cell", False)
        elif name == "open" or name.endswith((".open", "io_open")):
            self._open(node, name, certain)
        elif name in FILE_FUNCTIONS:
            kind, at = FILE_FUNCTIONS[name]
            self._add(kind, _argument(node, at) or "a file", "file", certain)
        elif name in RUNNERS:
            self._run(node, name, certain)
        elif name.startswith("get_ipython()."):
            self._magic_call(node, certain)
        elif method in PATH_METHODS and not _data(self._known.get(_root(node.func) or "")):
            self._add(PATH_METHODS[method], _path(node.func), "file", certain)
        elif method in WRITERS and (path := _written(node, name)):
            self._add("writes", path, WRITERS[method], certain)
        elif name.partition(".")[0] in SENDERS and method in SENDS:
            self._add("unknown", f"{name}(…)", "sends something to another machine", False)
        else:
            self._other_call(node, name, method, certain)
        if any(one.arg == "inplace" and _true(one.value) for one in node.keywords):
            changed = node.func.value if isinstance(node.func, ast.Attribute) else node.func
            self._inplace(changed, certain, "changed in place")

    def _other_call(self, node: ast.Call, name: str, method: str, certain: bool) -> None:
        root = _root(node.func)
        if isinstance(node.func, ast.Name):
            self._named_call(node.func.id, certain)
        elif root is None or isinstance(node.func, ast.Subscript):
            if not isinstance(node.func, ast.Attribute):
                self._add("unknown", f"{_source(node.func)}(…)", "which function it is", False)
        elif root in self._modules:
            package = self._modules[root].partition(".")[0]
            if name in ("random.shuffle", "numpy.random.shuffle") and node.args:
                self._inplace(node.args[0], certain, "shuffled in place")
            elif package not in COMPUTES and package not in RUNS_CODE:
                self._add("unknown", f"{name}(…)", f"what {package} does cannot be read", False)
            elif package in RUNS_CODE:
                self._add("unknown", f"{name}(…)", "what runs there cannot be read", False)
        elif root in self._aliases or (root in self._known and root not in self._own):
            variable = self._known[self._aliases.get(root, root)]
            if variable.kind in ("collection", "array", "table") and method in CHANGES:
                self._inplace(node.func.value, certain, f".{method}() changes it in place")  # type: ignore[attr-defined]
            elif variable.kind not in DATA:
                self._add("unknown", f"{_source(node.func)}(…)", f"may change {root}", False)

    def _named_call(self, name: str, certain: bool) -> None:
        if name in self._functions:
            if name not in self._inside:  # read it once, where it is called
                self._inside.add(name)
                for one in ast.walk(self._functions[name]):
                    if isinstance(one, ast.Global):
                        for each in one.names:
                            if each in self._known:
                                self._add("rebinds", each, self._about(each), False)
                self._block(self._functions[name].body, False)
                self._inside.discard(name)
        elif name in self._modules:
            package = self._modules[name].partition(".")[0]
            if package not in COMPUTES:
                whole = self._modules[name]
                self._add("unknown", f"{whole}(…)", f"what {package} does cannot be read", False)
        elif name in self._known and name not in self._own:
            if self._known[name].kind not in ("class",):
                self._add("unknown", f"{name}(…)", "a function of this notebook, not read", False)
        elif name in ("setattr", "delattr") or (name == "input"):
            self._add("unknown", f"{name}(…)", "", False)
        elif not hasattr(builtins, name) and name not in self._own and name not in SHELL_NAMES:
            self._add("unknown", f"{name}(…)", "which function it is", False)

    def _open(self, node: ast.Call, name: str, certain: bool) -> None:
        of_path = name not in ("open", "io.open", "gzip.open", "bz2.open", "lzma.open",
                               "codecs.open", "zipfile.open", "tarfile.open")  # fmt: skip
        mode = _argument(node, 0 if of_path else 1, "mode")
        given = mode is not None or _has(node, 0 if of_path else 1, "mode")
        if mode is not None and not set(mode) & set("wax+"):
            return
        if given:
            path = _path(node.func) if of_path else _argument(node, 0) or "a file"
            self._add("writes", path, "file", certain and mode is not None)

    def _run(self, node: ast.Call, name: str, certain: bool) -> None:
        first = node.args[0] if node.args else None
        if isinstance(first, (ast.List, ast.Tuple)):
            words = [_constant(one) or _source(one) for one in first.elts]
            command: str | None = " ".join(words)
        else:
            command = _constant(first) if first is not None else None
        if command and PACKAGES.search(f" {command}"):
            self._packages(command)
        else:
            self._add("runs", command or f"{name}(…)", "another program", certain)

    def _magic_call(self, node: ast.Call, certain: bool) -> None:
        words = [_constant(one) for one in node.args]
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if method == "run_line_magic" and len(words) > 1 and words[0] and words[1] is not None:
            self._command(f"%{words[0]} {words[1]}")
        elif method == "run_cell_magic" and len(words) > 2 and words[0] and words[2] is not None:
            self._cell_magic(f"{words[0]} {words[1] or ''}", words[2])
        elif method not in ("set_next_input",):
            self._add("unknown", f"{_source(node.func)}(…)", "", False)

    # ------------------------------------------------------------ names

    def _name(self, node: ast.expr) -> str:
        """The dotted name that is called, its module by the name it was imported under."""
        if isinstance(node, ast.Name):
            return (
                node.id
                if node.id in self._own - set(self._modules)
                else self._modules.get(node.id, node.id)
            )
        if isinstance(node, ast.Attribute):
            within = self._name(node.value)
            return f"{within}.{node.attr}" if within else f".{node.attr}"
        if isinstance(node, ast.Call) and _source(node) == "get_ipython()":
            return "get_ipython()"
        return ""


def _root(node: ast.AST) -> str | None:
    """The variable at the bottom of `a.b["c"].d`."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _source(node: ast.AST) -> str:
    return ast.unparse(node)


def _constant(node: ast.expr | None) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(one.value) if isinstance(one, ast.Constant) else "…" for one in node.values
        )
    return None


def _argument(node: ast.Call, at: int, keyword: str = "") -> str | None:
    """An argument's text: a constant's own, else how it is written."""
    given = node.args[at] if len(node.args) > at else None
    for one in node.keywords:
        if keyword and one.arg == keyword:
            given = one.value
    if given is None or (isinstance(given, ast.Constant) and not isinstance(given.value, str)):
        return None
    text = _constant(given)
    if text is not None or keyword == "mode":
        return text
    if isinstance(given, ast.Call) and isinstance(given.func, (ast.Name, ast.Attribute)):
        inside = _constant(given.args[0]) if given.args else None
        if inside is not None and _source(given.func).endswith("Path"):
            return inside
    return _source(given)


def _has(node: ast.Call, at: int, keyword: str) -> bool:
    return len(node.args) > at or any(one.arg == keyword for one in node.keywords)


def _written(node: ast.Call, name: str) -> str | None:
    """The path a writer is given; without one it returns a text."""
    at = 1 if name in SECOND_ARGUMENT else 0
    path = _argument(node, at)
    for keyword in PATH_KEYWORDS:
        path = path or _argument(node, 99, keyword)
    return path


def _path(function: ast.expr) -> str:
    """The path that a method is called on: `Path("a").write_text` writes a."""
    value = function.value if isinstance(function, ast.Attribute) else function
    if isinstance(value, ast.Call) and value.args and _source(value.func).endswith("Path"):
        return _constant(value.args[0]) or _source(value.args[0])
    return _source(value)


def _data(variable: Variable | None) -> bool:
    return variable is not None and variable.kind in DATA


def _true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _bytes(size: float) -> str:
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.3g} {units[0]}"


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

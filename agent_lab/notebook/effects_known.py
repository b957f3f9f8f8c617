"""What is known of functions by their names: which write, install, run, compute. Data, no code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["rebinds", "deletes", "writes", "installs", "runs", "unknown"]

# Writes the file that its first argument (or the named one) says.
WRITERS: Mapping[str, str] = {
    **dict.fromkeys(
        ("to_csv", "to_parquet", "to_excel", "to_json", "to_pickle", "to_hdf", "to_feather",
         "to_html", "to_latex", "to_xml", "to_stata", "to_orc", "to_markdown", "to_string",
         "to_netcdf", "to_zarr", "write_csv", "write_parquet", "write_json", "write_ndjson",
         "write_excel", "write_ipc", "write_delta", "write_avro", "sink_csv", "sink_parquet",
         "sink_ipc", "sink_ndjson", "savefig", "write_html", "write_image", "save", "savez",
         "savez_compressed", "savetxt", "tofile", "save_model", "save_pretrained", "to_file",
         "imsave", "imwrite", "write_table", "write_feather", "write_dataset"), "file"),
    "to_sql": "table of a database",
    "to_gbq": "table of a database",
}  # fmt: skip
SECOND_ARGUMENT = frozenset(("torch.save", "joblib.dump", "pyarrow.parquet.write_table"))
PATH_METHODS: Mapping[str, Kind] = {
    "write_text": "writes", "write_bytes": "writes", "touch": "writes", "mkdir": "writes",
    "symlink_to": "writes", "hardlink_to": "writes", "unlink": "deletes", "rmdir": "deletes",
}  # fmt: skip
FILE_FUNCTIONS: Mapping[str, tuple[Kind, int]] = {
    "os.remove": ("deletes", 0), "os.unlink": ("deletes", 0), "os.rmdir": ("deletes", 0),
    "os.removedirs": ("deletes", 0), "shutil.rmtree": ("deletes", 0), "os.mkdir": ("writes", 0),
    "os.makedirs": ("writes", 0), "os.rename": ("writes", 1), "os.replace": ("writes", 1),
    "os.symlink": ("writes", 1), "os.link": ("writes", 1), "os.truncate": ("writes", 0),
    "shutil.copy": ("writes", 1), "shutil.copy2": ("writes", 1), "shutil.copyfile": ("writes", 1),
    "shutil.copytree": ("writes", 1), "shutil.move": ("writes", 1),
    "shutil.make_archive": ("writes", 0), "shutil.unpack_archive": ("writes", 1),
    "urllib.request.urlretrieve": ("writes", 1), "sqlite3.connect": ("writes", 0),
    "joblib.dump": ("writes", 1), "torch.save": ("writes", 1), "numpy.save": ("writes", 0),
}  # fmt: skip
RUNNERS = frozenset(
    ("os.system", "os.popen", "subprocess.run", "subprocess.call", "subprocess.check_call",
     "subprocess.check_output", "subprocess.Popen", "subprocess.getoutput",
     "subprocess.getstatusoutput", "pty.spawn", "get_ipython().system", "get_ipython().getoutput")
)  # fmt: skip
ENDS = frozenset(("exit", "quit", "os._exit", "os.abort"))
COMPUTED = frozenset(("exec", "eval", "compile", "__import__", "globals", "locals", "vars"))
SENDS = frozenset(("post", "put", "patch", "delete", "request", "send", "urlopen", "upload"))
SENDERS = frozenset(("requests", "httpx", "urllib", "aiohttp", "boto3", "smtplib", "ftplib"))
CHANGES = frozenset(
    ("append", "extend", "insert", "remove", "pop", "popitem", "clear", "sort", "reverse", "update",
     "setdefault", "add", "discard", "fill", "resize", "put", "itemset", "partition",
     "insert_column",     "drop_in_place", "extend_constant")
)  # fmt: skip
# Libraries whose functions compute, as far as they are not named above.
COMPUTES = frozenset(
    ("numpy", "pandas", "polars", "scipy", "sklearn", "matplotlib", "seaborn", "plotly", "altair",
     "pyarrow", "xarray", "torch", "statsmodels", "math", "cmath", "statistics", "random", "re",
     "json", "csv", "datetime", "time", "calendar", "decimal", "fractions", "itertools",
     "functools", "operator", "collections", "string", "textwrap", "copy", "pprint", "typing",
     "dataclasses", "enum", "pathlib", "os", "sys", "io", "glob", "fnmatch", "hashlib", "base64",
     "uuid", "warnings", "logging", "traceback", "inspect", "types", "contextlib", "abc", "gc",
     "IPython", "ipywidgets", "tqdm", "requests", "httpx", "urllib", "struct", "bisect", "heapq",
     "zoneinfo", "unicodedata", "html", "platform", "timeit", "networkx", "PIL", "nltk", "sympy",
     "asyncio", "pickle", "shutil", "tempfile", "gzip", "zipfile", "bz2", "lzma", "tarfile")
)  # fmt: skip
DATA = frozenset(("table", "array", "number", "text", "collection"))

PACKAGES = re.compile(
    r"(?:^|[\s;&|/])(?:pip3?|uv|conda|mamba|micromamba|apt|apt-get|npm|poetry|brew)\s"
)
VERBS: Mapping[str, str] = {
    "install": "",
    "add": "",
    "update": "",
    "upgrade": "",
    "uninstall": "uninstalled",
    "remove": "uninstalled",
}
REDIRECTED = re.compile(r"(?<![\d&<>])>{1,2}\s*([^\s&|;<>]+)")


BODY_RUNS = frozenset(("time", "timeit", "capture", "prun", "memit", "mprun"))
SHELLS = frozenset(("bash", "sh", "script", "system", "sx", "!", "cmd", "perl", "ruby", "python3"))


RUNS_CODE = frozenset(
    ("runpy", "importlib", "multiprocessing", "concurrent", "threading", "ctypes")
)
SHELL_NAMES = frozenset(("display", "get_ipython"))
QUIET_MAGICS = frozenset(
    ("matplotlib", "config", "who", "whos", "who_ls", "psearch", "pinfo", "pinfo2", "pdoc",
     "psource", "pwd", "ls", "ll", "history", "hist", "lsmagic", "magic", "quickref", "agent",
     "autoreload", "precision", "pprint", "xmode", "colors", "env", "cat", "head", "less",
     "more", "automagic", "tb", "pylab", "load")
)  # fmt: skip


PATH_KEYWORDS = ("path", "path_or_buf", "path_or_buffer", "fname", "file", "where", "excel_writer",
                  "buf", "name", "fp")  # fmt: skip

"""Keep the process that runs the engine to its own files, whatever a statement asks for.

The engine as a library takes the setting ``user_files_path`` and does not keep to it: ``file('/etc/passwd')``, the table engine ``File`` and
``url('file:///...')`` go anywhere, and relative names mean the working directory. So the kernel is asked to refuse: Landlock (Linux 5.13 and later), which a process sets for itself, without
rights of an administrator, and cannot take back. Nothing may be executed either, so that a script written through ``file()`` never runs.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path

import clickreel

# Where ``file('name')`` finds its files, in the data folder; a server's own name for it.
USER_FILES = "user_files"
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _RULE_PATH_BENEATH, _PR_SET_NO_NEW_PRIVS = 1, 1, 38
# Rights over files, by the version of Landlock that brought them (linux/landlock.h).
_EXECUTE, _WRITE, _READ, _READ_FOLDER = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_RIGHTS_OF_VERSION = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_FILE_RIGHTS = _EXECUTE | _WRITE | _READ | 1 << 14 | 1 << 15
# What the C library, the resolver, TLS and the engine's view of the machine read.
_SYSTEM_PATHS = (
    "/usr", "/lib", "/lib64", "/proc", "/sys", "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random", "/etc/ld.so.cache",
    "/etc/localtime", "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/ssl",
    "/etc/pki", "/etc/ca-certificates", "/run/systemd/resolve",
)  # fmt: skip


def confine_files(data: Path) -> bool:
    """Let this process, from now on, write below its data folder alone, and read nothing else but the system's and Python's libraries.

    Its working directory becomes the folder ``user_files`` in there. To be called before any thread is started that should be held to it.

    Args:
        data: The data folder.

    Returns:
        Whether the system can do it; where it cannot, nothing has changed but the working directory and the folder for temporary files.
    """
    (data / USER_FILES).mkdir(exist_ok=True)
    os.chdir(data / USER_FILES)
    temporary = data / "front_tmp"
    temporary.mkdir(exist_ok=True)
    tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)  # Python's and the engine's
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    if version < 1:
        return False
    handled = sum(rights for since, rights in _RIGHTS_OF_VERSION.items() if since <= version)
    attributes = struct.pack("=Q", handled)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    try:
        _allow(libc, ruleset, _readable_paths(), (_READ | _READ_FOLDER) & handled)
        _allow(libc, ruleset, [Path("/dev/null")], (_READ | _WRITE) & handled)
        _allow(libc, ruleset, [data], handled & ~_EXECUTE)
        no_privileges: int = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        restricted: int = libc.syscall(_RESTRICT_SELF, ruleset, 0)
        return no_privileges == restricted == 0
    finally:
        os.close(ruleset)


def _readable_paths() -> list[Path]:
    installed = sysconfig.get_paths()
    python = [installed[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return [Path(path) for path in (*_SYSTEM_PATHS, *python, str(Path(clickreel.__file__).parent))]


def _allow(libc: ctypes.CDLL, ruleset: int, paths: Iterable[Path], rights: int) -> None:
    for path in paths:
        try:
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            is_folder = stat.S_ISDIR(os.fstat(opened).st_mode)
            rule = struct.pack("=Qi", rights if is_folder else rights & _FILE_RIGHTS, opened)
            libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
        finally:
            os.close(opened)

"""The user of this machine as which embedded servers run when we are root.

PostgreSQL refuses to run as root, and a Redis that a password opens should not be root either. Such a run makes the
system user `easypay-data` once and runs both servers as it.

That user must reach two places. *Programs* lie in a virtual environment, often under a home directory that is
closed to others: where the user cannot run them they are copied into the data directory, and nothing outside it is
changed. *Data* lies in the data directory: where a folder on the way to it is closed, this user alone gets the right
to pass through it (an ACL entry, execute without read), or, on a file system without ACLs, all users do. Either is
reported.
"""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from cluster.spawning import Account

ACCOUNT_NAME = "easypay-data"

_ACL = "system.posix_acl_access"
_ACL_VERSION = struct.pack("<I", 2)
_ACL_ENTRY = struct.Struct("<HHI")
# Tags of an entry, in the order in which the kernel wants them.
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NO_ID = 0xFFFFFFFF
_EXECUTE = 1


class NoAccount(Exception):
    """The system user is missing and cannot be made; the text says what to do."""


def servers_account() -> Account | None:
    """Return the user for embedded servers, made if need be; None where we are not root. Raise NoAccount."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        _make_account()
        entry = pwd.getpwnam(ACCOUNT_NAME)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _make_account() -> None:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]
    try:
        subprocess.run([*command, ACCOUNT_NAME], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise NoAccount(
            f"embedded servers cannot run as root, and there is no `useradd` to make the system user"
            f" {ACCOUNT_NAME}: make it yourself, or start EasyPay as another user"
        ) from None
    except subprocess.CalledProcessError as error:
        # Another gateway may have made it at the same moment.
        if error.returncode != 9:
            raise NoAccount(f"cannot make the system user {ACCOUNT_NAME}: {error.stderr.strip()}") from None


def open_way(folder: Path, account: Account, tell: Callable[[str], None]) -> None:
    """Let the account pass through all folders on the way to `folder`, itself included; tell what was changed."""
    for step in (*reversed(folder.parents), folder):
        if _may_pass(step, account):
            continue
        if _grant_by_acl(step, account):
            tell(f"{step}: user {account.name} may now pass through it (ACL entry)")
        else:
            step.chmod(stat.S_IMODE(step.stat().st_mode) | stat.S_IXOTH)
            tell(f"{step}: all users may now pass through it (its file system has no ACLs)")


def _may_pass(folder: Path, account: Account) -> bool:
    status = folder.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    for tag, permissions, identity in _read_acl(folder):
        if tag == _USER and identity == account.uid:
            return bool(permissions & _EXECUTE)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _grant_by_acl(folder: Path, account: Account) -> bool:
    mode = stat.S_IMODE(folder.stat().st_mode)
    entries = _read_acl(folder) or [
        (_USER_OBJ, mode >> 6 & 7, _NO_ID),
        (_GROUP_OBJ, mode >> 3 & 7, _NO_ID),
        (_OTHER, mode & 7, _NO_ID),
    ]
    mask = next((permissions for tag, permissions, _ in entries if tag == _MASK), mode >> 3 & 7)
    kept = [entry for entry in entries if entry[0] != _MASK and entry[::2] != (_USER, account.uid)]
    # Without a mask of before, the group's own rights are its upper bound, and stay what they were.
    entries = sorted([*kept, (_USER, _EXECUTE, account.uid), (_MASK, mask | _EXECUTE, _NO_ID)])
    try:
        os.setxattr(folder, _ACL, _ACL_VERSION + b"".join(_ACL_ENTRY.pack(*entry) for entry in entries))
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EINVAL):
            return False
        raise
    return True


def _read_acl(folder: Path) -> list[tuple[int, int, int]]:
    try:
        value = os.getxattr(folder, _ACL)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return []
        raise
    return list(_ACL_ENTRY.iter_unpack(value[len(_ACL_VERSION) :]))


def reachable_copy(parts: list[Path], program: Path, account: Account | None, programs: Path) -> Path:
    """Return the path of a program that the account can run.

    `parts`, files or folders beside each other, hold all that the program needs; `program` is relative to their
    parent. It is the program itself where the account can run it, else one in a copy of the parts beneath
    `programs`, made once for each version of the program.
    """
    original = parts[0].parent / program
    if account is None or _can_run(original, account):
        return original
    status = original.stat()
    copy = programs / f"{program.name}-{status.st_size:x}-{int(status.st_mtime):x}"
    if not (copy / program).exists():
        draft = copy.with_name(f".{copy.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        for part in parts:
            if part.is_dir():
                shutil.copytree(part, draft / part.name)
            elif part.exists():
                draft.mkdir(parents=True)
                shutil.copy2(part, draft / part.name)
        _open_for_reading(draft)
        draft.rename(copy)
        programs.chmod(0o755)
    return copy / program


def _can_run(program: Path, account: Account) -> bool:
    try:
        subprocess.run(
            [program, "--version"],
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _open_for_reading(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o755 if executable else 0o644)

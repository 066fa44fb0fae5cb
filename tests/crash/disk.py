"""What a disk may hold after a crash: a model of a file system between two syncs.

Of a file's bytes and a directory's names a part is on the disk for certain: what was there at the last sync
of that file, of that directory. The changes since then wait in order. A killed process leaves all of them; a
power cut leaves any that this allows:

- names: the changes of one directory reach the disk in their order, so a prefix of them is there (the file
  systems in use journal their directories);
- bytes: of the writes to one file any may be there or not, wholly or up to a byte, whatever other writes
  are; what is missing in between reads as zeros. A file's size may be there without its bytes.

By the letter of POSIX nothing more is promised: a synced file whose name was never synced is gone after a
power cut (`posix`). ext4, XFS and btrfs keep the name of a file that was synced, and with it what was done to
that directory before; this is the model unless the other one is asked for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from tests.crash.recording import Call, Kind

NOT_KEPT: Final = frozenset({"LOG", "LOG.old"})
"""LevelDB's remarks for people, written past the recorder; nobody reads them back."""

Image = dict[str, bytes | None]
"""Files by path with their bytes; None: a directory."""


@dataclass(frozen=True, slots=True)
class Change:
    """Of a file: `data` at `offset`, or with None cut or extended to `offset`."""

    offset: int
    data: bytes | None


@dataclass(slots=True)
class File:
    certain: bytes = b""
    changes: list[Change] = field(default_factory=list)


@dataclass(slots=True)
class Directory:
    """Names to nodes; a change removes and adds names at once (a rename does both)."""

    certain: dict[str, Node] = field(default_factory=dict)
    live: dict[str, Node] = field(default_factory=dict)
    changes: list[tuple[str | None, str | None, Node | None]] = field(default_factory=list)


Node = File | Directory


class Choice(Protocol):
    """Which changes survive."""

    def names(self, count: int) -> int:
        """How many of a directory's changes, from the first."""

    def bytes(self, certain: bytes, changes: Sequence[Change]) -> bytes: ...


class Disk:
    """The disk after the calls that were applied to it so far; `posix`: see the module."""

    def __init__(self, *, posix: bool = False) -> None:
        self._root = Directory()
        self._posix = posix

    def apply(self, call: Call) -> None:
        if call.kind is Kind.MARK:
            return
        if call.kind is Kind.SYNC_DIRECTORY:
            directory = self._directory(call.path)
            directory.certain = dict(directory.live)
            directory.changes.clear()
            return
        parent, name = self._parent(call.path)
        if name in NOT_KEPT:
            return
        if call.kind in (Kind.CREATE, Kind.MKDIR):
            self._rename(parent, None, name, File() if call.kind is Kind.CREATE else Directory())
        elif call.kind in (Kind.UNLINK, Kind.RMDIR):
            self._rename(parent, name, None, None)
        elif call.kind is Kind.LINK:
            other, new_name = self._parent(call.second)
            self._rename(other, None, new_name, parent.live[name])
        elif call.kind is Kind.RENAME:
            target, new_name = self._parent(call.second)
            assert target is parent, "renames between directories are not modelled"
            self._rename(parent, name, new_name, parent.live[name])
        else:
            file = parent.live[name]
            assert isinstance(file, File)
            if call.kind is Kind.SYNC:
                file.certain = _applied(file.certain, file.changes)
                file.changes.clear()
                if not self._posix:
                    _keep_name(parent, file)
            elif call.kind is Kind.TRUNCATE:
                file.changes.append(Change(call.offset, None))
            else:
                file.changes.append(Change(call.offset, call.data))

    def image(self, choice: Choice) -> Image:
        """What is there after a crash now."""
        return dict(_image(self._root, "", choice))

    def uncertain(self) -> list[str]:
        """Files whose bytes, and directories (`/` at the end) whose names, a power cut may take."""
        return list(_uncertain(self._root, ""))

    def _rename(self, parent: Directory, old: str | None, new: str | None, node: Node | None) -> None:
        change = (old, new, node)
        parent.changes.append(change)
        _renamed(parent.live, [change])

    def _directory(self, path: str) -> Directory:
        node: Node = self._root
        for part in PurePosixPath(path).parts:
            assert isinstance(node, Directory)
            node = node.live[part]
        assert isinstance(node, Directory)
        return node

    def _parent(self, path: str) -> tuple[Directory, str]:
        pure = PurePosixPath(path)
        return self._directory(str(pure.parent)), pure.name


def _renamed(
    names: dict[str, Node], changes: Sequence[tuple[str | None, str | None, Node | None]]
) -> dict[str, Node]:
    for old, new, node in changes:
        if old is not None:
            names.pop(old, None)
        if new is not None and node is not None:
            names[new] = node
    return names


def _keep_name(directory: Directory, file: File) -> None:
    """Make certain what was done to the directory up to the file's last change of name."""
    count = max((n for n, change in enumerate(directory.changes, start=1) if change[2] is file), default=0)
    _renamed(directory.certain, directory.changes[:count])
    del directory.changes[:count]


def _applied(certain: bytes, changes: Sequence[Change]) -> bytes:
    data = bytearray(certain)
    for change in changes:
        if change.data is None:
            del data[change.offset :]
            data.extend(bytes(change.offset - len(data)))
        else:
            data.extend(bytes(max(0, change.offset - len(data))))
            data[change.offset : change.offset + len(change.data)] = change.data
    return bytes(data)


def _image(directory: Directory, path: str, choice: Choice) -> Iterator[tuple[str, bytes | None]]:
    kept = directory.changes[: choice.names(len(directory.changes))]
    for name, node in sorted(_renamed(dict(directory.certain), kept).items()):
        whole = f"{path}{name}"
        if isinstance(node, Directory):
            yield whole, None
            yield from _image(node, whole + "/", choice)
        else:
            yield whole, choice.bytes(node.certain, node.changes)


def _uncertain(directory: Directory, path: str) -> Iterator[str]:
    if directory.changes:
        yield path + "/"
    for name, node in directory.live.items():
        if isinstance(node, Directory):
            yield from _uncertain(node, f"{path}/{name}" if path else name)
        elif node.changes:
            yield f"{path}/{name}"


class Killed:
    """A process that was killed: the kernel has everything."""

    def names(self, count: int) -> int:
        return count

    def bytes(self, certain: bytes, changes: Sequence[Change]) -> bytes:
        return _applied(certain, changes)


class Dropped(Killed):
    """A power cut that took everything uncertain."""

    def names(self, count: int) -> int:
        return 0

    def bytes(self, certain: bytes, changes: Sequence[Change]) -> bytes:
        return certain


class NamesOnly(Dropped):
    """Names made it, bytes did not: empty files under their names."""

    def names(self, count: int) -> int:
        return count


class SizesOnly(NamesOnly):
    """Names and sizes made it; the bytes are zeros."""

    def bytes(self, certain: bytes, changes: Sequence[Change]) -> bytes:
        size = len(_applied(certain, changes))
        return certain.ljust(size, b"\0") if size >= len(certain) else certain[:size]


class Torn(Killed):
    """A prefix of everything, the last write cut within."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def names(self, count: int) -> int:
        return self._rng.randint(0, count)

    def bytes(self, certain: bytes, changes: Sequence[Change]) -> bytes:
        kept = list(changes[: self._rng.randint(0, len(changes))])
        if kept and kept[-1].data:
            last = kept.pop()
            assert last.data is not None
            kept.append(Change(last.offset, last.data[: self._rng.randint(0, len(last.data))]))
        return _applied(certain, kept)


class Scattered(Torn):
    """Any writes of any file, in no order; holes are zeros, the size is the last one."""

    def bytes(self, certain: bytes, changes: Sequence[Change]) -> bytes:
        kept = [change for change in changes if change.data is None or self._rng.random() < 0.5]
        size = len(_applied(certain, changes))
        data = _applied(certain, kept)
        return data.ljust(size, b"\0") if self._rng.random() < 0.5 else data


POWER_CUTS: Final[dict[str, Callable[[random.Random], Choice]]] = {
    "dropped": lambda rng: Dropped(),
    "names only": lambda rng: NamesOnly(),
    "sizes only": lambda rng: SizesOnly(),
    "torn": Torn,
    "scattered": Scattered,
}


def write_image(image: Image, directory: Path) -> None:
    """Put an image below `directory`, which does not exist yet."""
    directory.mkdir(parents=True)
    for path, data in image.items():
        if data is None:
            (directory / path).mkdir()
        else:
            (directory / path).write_bytes(data)

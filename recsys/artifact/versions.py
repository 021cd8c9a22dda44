"""All versions of a model that ever answered, beside its file, and which of them does now."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from recsys.artifact.container import manifest, version_of
from recsys.checks import whole
from recsys.errors import ArtifactError
from recsys.files import check_target, replacing

try:
    import fcntl
except ImportError:  # Windows: writers have to take turns by themselves
    fcntl = None  # type: ignore[assignment]

__all__ = ["Version", "Versions"]

_STORED = re.compile(r"(\d+)-([0-9a-f]{64})\.recsys")
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)
_PATIENCE = 60.0  # seconds


@dataclass(frozen=True)
class Version:
    """A version of a model.

    Attributes
    ----------
    number : int
        From 1 on, in the order in which they were kept.
    path : Path
        Of its file.
    sha256 : str
        Of the file, 64 hex digits.
    made : float
        When the file was written, in seconds since 1970.
    """

    number: int
    path: Path
    sha256: str
    made: float

    @property
    def name(self) -> str:
        """The number and the first 8 digits of the hash."""
        return f"{self.number}-{self.sha256[:8]}"

    @property
    def answers(self) -> str | None:
        """What the answers of a service call it; None if its file is damaged."""
        try:
            return version_of(self.path)
        except ArtifactError:
            return None


class Versions:
    """The versions of the model in `MODEL`, which lie in the folder `MODEL.versions`.

    The file `MODEL` is always whole and one of them: it is a second name (a hard link, or a copy where there are no
    links) that is moved from one to the next in a single step. What is killed between two steps leaves the version of
    before or the next one in place, and may be done again. Writers take turns by a lock, which the system takes back
    from one that is killed. Nothing is ever written into a file that is there.

    Parameters
    ----------
    path : str or path
        `MODEL`; a link to a file stands for that file.

    Examples
    --------
    >>> import tempfile
    >>> from recsys import Interactions
    >>> from recsys.models import Popular
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name, items in (("model", ["tea", "jam"]), ("new", ["jam", "jam"])):
    ...     _ = Popular().fit(Interactions.from_arrays([1, 2], items)).save(folder / name)
    >>> versions = Versions(folder / "model")
    >>> versions.promote(folder / "new").number, [version.number for version in versions.list()]
    (2, [1, 2])
    >>> versions.rollback().number, versions.current().number
    (1, 1)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.realpath(path))
        self.folder = self.path.with_name(f"{self.path.name}.versions")
        self._held = False

    # ------------------------------------------------------------------------------------------ looking
    def list(self) -> list[Version]:
        """Those that are kept, oldest first."""
        found = []
        for file in self.folder.iterdir() if self.folder.is_dir() else ():
            named = _STORED.fullmatch(file.name)
            if named is not None:
                with contextlib.suppress(FileNotFoundError):  # another process has just pruned it
                    found.append(Version(int(named[1]), file, named[2], file.stat().st_mtime))
        return sorted(found, key=lambda version: (version.number, version.made, version.sha256))

    def current(self) -> Version:
        """The one that answers; the next number, and the path of `MODEL`, if it has not been kept yet.

        Raises
        ------
        OSError
            There is no such file.
        """
        kept = self.list()
        for version in kept:
            with contextlib.suppress(FileNotFoundError):
                if version.path.samefile(self.path):
                    return version
        sha256 = _digest(self.path)
        same = [version for version in kept if version.sha256 == sha256]
        return same[-1] if same else Version(_next(kept), self.path, sha256, self.path.stat().st_mtime)

    # ----------------------------------------------------------------------------------------- changing
    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """While it lasts, no other process changes the versions; what this object does is part of it.

        Raises
        ------
        ArtifactError
            Another process has not finished after a minute.
        """
        if self._held:
            yield
            return
        check_target(self.path)
        self.folder.mkdir(exist_ok=True)
        with open(self.folder / "lock", "ab") as file:
            _wait_for(file.fileno(), self.path)
            self._held = True
            try:
                for left in (self.incoming, self._shown, self._rewritten):  # by one that was killed
                    left.unlink(missing_ok=True)
                yield
            finally:
                self._held = False

    @contextlib.contextmanager
    def marked(self, mark: str) -> Iterator[str]:
        """`locked`, with a mark for the files that are written meanwhile.

        It is that of the time before, if that was stopped: what is done again then writes the same files again.
        """
        with self.locked():
            begun = self.folder / "mark"
            if not begun.exists():
                with replacing(begun) as file:
                    file.write(mark.encode())
            yield begun.read_text("utf-8")
            begun.unlink()

    def promote(self, path: str | os.PathLike[str]) -> Version:
        """Keep a new file as the next version, and let it answer from now on; the one of before is kept, too.

        The file stays where it is. One with the contents of a version that is kept is that version.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        ArtifactError
            It is no model file.
        """
        manifest(path)
        with self.locked():
            if self.path.exists():
                self._keep(self.path)
            version = self._keep(Path(path))
            self._show(version)
        return version

    def rollback(self, to: str | None = None) -> Version:
        """Let a version of before answer again.

        Parameters
        ----------
        to : str, optional
            Its name, its number, or what answers call it; by default the one kept before the current.

        Raises
        ------
        ArtifactError
            There is no such version, and the message names those there are; or its file is damaged.
        """
        with self.locked():
            current, kept = self.current(), self.list()
            found = [version for version in kept if (version.number < current.number if to is None else
                                                     to in (version.name, str(version.number), version.answers))]
            if not found:
                wanted = f"before {current.name}" if to is None else repr(to)
                names = ", ".join(version.name for version in kept) or "none"
                raise ArtifactError(f"{self.path}: there is no version {wanted}; kept are: {names}.")
            if _digest(found[-1].path) != found[-1].sha256:
                raise ArtifactError(f"{found[-1].path}: its checksum differs from the one in its name; remove it, and "
                                    f"roll back to another version.")
            if found[-1] != current:
                self._keep(self.path)
                self._show(found[-1])
        return found[-1]

    def prune(self, keep: int = 5) -> Sequence[Version]:
        """Remove the oldest versions but so many, never the current one, and give those that were removed."""
        whole(1).require("prune", "keep", keep)
        with self.locked():
            current = self.current()
            others = [version for version in self.list()[:-keep] if version != current]
            for version in others:
                version.path.unlink()
        return others

    def rewrite(self, function: Callable[[Path, Path], object]) -> Sequence[tuple[str, str]]:
        """Change every version that is kept, and the current one, one by one: to take a person out, say.

        It may be stopped anywhere and done again; a function that changes nothing of what it has changed once then ends
        the work.

        Parameters
        ----------
        function : callable
            `function(source, target)` reads the file `source` and writes `target`, a path in the same folder, whole; or
            writes nothing, where nothing is to change.

        Returns
        -------
        sequence of (str, str)
            The names, before and after, of versions that have changed; numbers stay.
        """
        changed = []
        with self.locked():
            current = self.current()
            for version in self.list() if current.path != self.path else [*self.list(), current]:
                after = self._rewrite(version, function, shown=version == current)
                if after != version:
                    changed.append((version.name, after.name))
        return changed

    def _rewrite(self, version: Version, function: Callable[[Path, Path], object], shown: bool) -> Version:
        function(version.path, self._rewritten)
        if not self._rewritten.exists():
            return version
        sha256 = _digest(self._rewritten)
        if sha256 == version.sha256:
            self._rewritten.unlink()
            return version
        os.utime(self._rewritten, (version.made, version.made))
        if version.path == self.path:  # was never kept
            os.replace(self._rewritten, self.path)
            _sync(self.path.parent)
            return Version(version.number, self.path, sha256, version.made)
        after = Version(version.number, self.folder / f"{version.number}-{sha256}.recsys", sha256, version.made)
        if after.path.exists():  # from a time before, that was not finished
            self._rewritten.unlink()
        else:
            os.replace(self._rewritten, after.path)
        if shown:
            self._show(after)
        version.path.unlink()
        _sync(self.folder)
        return after

    # ------------------------------------------------------------------------------------------- steps
    @property
    def incoming(self) -> Path:
        """Where to write a file, under the lock, that is to be promoted; it is gone when the next lock is taken."""
        return self.folder / "incoming"

    @property
    def _shown(self) -> Path:
        """The current version's second name, before it is the model's."""
        return self.folder / "becoming"

    @property
    def _rewritten(self) -> Path:
        """A version that is being changed."""
        return self.folder / "rewritten"

    def _keep(self, file: Path) -> Version:
        """A file among the versions: the one with its contents, or else the next."""
        kept = self.list()
        sha256 = next((version.sha256 for version in kept if version.path.samefile(file)), None) or _digest(file)
        same = [version for version in kept if version.sha256 == sha256]
        if same:
            return same[-1]
        number = _next(kept)
        target = self.folder / f"{number}-{sha256}.recsys"
        if not _linked(file, target):
            _copy(file, target)
        _sync(self.folder)
        return Version(number, target, sha256, target.stat().st_mtime)

    def _show(self, version: Version) -> None:
        """Put a version in the place of the current one."""
        if _linked(version.path, self._shown):
            os.replace(self._shown, self.path)
            self._shown.unlink(missing_ok=True)  # a link to what it was to replace is left as it is
        else:
            _copy(version.path, self.path)
        _sync(self.path.parent)


def _next(kept: list[Version]) -> int:
    return 1 + max((version.number for version in kept), default=0)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _linked(source: Path, target: Path) -> bool:
    """Give a file a second name; False where the file system has none."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def _copy(source: Path, target: Path) -> None:
    with open(source, "rb") as file, replacing(target) as out:
        shutil.copyfileobj(file, out, 1 << 20)
    shutil.copystat(source, target)


def _sync(folder: Path) -> None:
    """Have a folder's names on the disk; only then are they there after a loss of power."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _wait_for(descriptor: int, path: Path) -> None:
    """Lock an open file until it is closed."""
    end = time.monotonic() + _PATIENCE
    while fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise ArtifactError(f"{path}: another process has been changing its versions for {_PATIENCE:.0f} "
                                    f"seconds; wait until it has finished.") from None
            time.sleep(0.02)

"""A system that has run out: of descriptors for one engine's connections, or of threads for this process."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Engine, event

NO_SUCH_STACK: Final = 1 << 46
"""More than a process can address: the system refuses a thread that asks for it, as it does without memory."""


class NoDescriptors:
    """*engine* lends no connection, with the error of a process that has no descriptor left for one, until it ends."""

    def __init__(self, engine: Engine) -> None:
        self.refused = threading.Semaphore(0)
        self._lasts = True
        event.listen(engine, "checkout", self._refuse)

    def end(self) -> None:
        """There are descriptors again."""
        self._lasts = False

    def _refuse(self, *_: Any) -> None:
        if self._lasts:
            self.refused.release()
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@contextmanager
def no_threads() -> Iterator[None]:
    """This process gets no further thread within."""
    before = threading.stack_size(NO_SUCH_STACK)
    try:
        yield
    finally:
        threading.stack_size(before)

"""Nobody in the middle: the limit that generator and sink set."""

from typing import ClassVar

from .base import Contestant


class Nothing(Contestant):
    """The load generator speaks to the sink itself."""

    name: ClassVar[str] = "nothing"
    what: ClassVar[str] = "the load generator straight into smtp-sink: the limit"

    def start(self) -> None:
        self.port = self.sink_port

    def stop(self) -> None:
        pass

    def processes(self) -> tuple[int, ...]:
        return ()

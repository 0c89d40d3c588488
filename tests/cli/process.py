"""The command as a process of its own."""

import json
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

LIVEMOSAIC = [sys.executable, "-m", "livemosaic"]


def listen_to_interrupts() -> None:
    """Let a new process end on SIGINT, which all that a shell starts in the background ignores."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def serving(env: Mapping[str, str], *words: str, sources: Sequence[str] = ()) -> Iterator[str]:
    """What `serve` said, once it answers. It must end well on SIGINT."""
    command = [*LIVEMOSAIC, *words, "serve", "--port", "0", *sources]
    server = subprocess.Popen(
        command, env=env, stderr=subprocess.PIPE, text=True, preexec_fn=listen_to_interrupts
    )
    killer = threading.Timer(60, server.kill)
    killer.start()
    try:
        assert server.stderr is not None
        said = ""
        while "Bearer" not in said:
            line = server.stderr.readline()
            assert line, said
            said += line
        found = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert found, said
        with urllib.request.urlopen(f"{found[0]}/health", timeout=30) as answer:
            assert json.load(answer)["status"] == "ok"
        yield said
        server.send_signal(signal.SIGINT)
        assert server.wait(20) in (0, 130)
    finally:
        killer.cancel()
        server.kill()
        server.wait()
        server.stderr.close()

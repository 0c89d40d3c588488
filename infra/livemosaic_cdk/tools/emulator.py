"""An emulated AWS on this machine: starts and stops ministack."""

import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import boto3

from livemosaic_cdk.bundle import ROOT

REGION: Final = "eu-central-1"
_ACCESS_KEY: Final = "test"
"""Access key id and secret of the emulator's root user."""
_START_S: Final = 30.0
_END_S: Final = 1.0
_OUTPUT: Final = "output.txt"
_PROGRAM: Final = Path(__file__).with_name("ministack_.py")
_UNPACKED: Final = ROOT / "build" / "unpacked"


class EmulatorError(Exception):
    """The emulator did not start; the message ends with its output."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator."""

    url: str
    """Endpoint of all services."""
    certificate: Path | None = None
    """Certificate that clients must trust; None for plain HTTP."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment of this process in which AWS tools find the emulator and nothing else."""
        own = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "CDK_"))
        }
        return own | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": _ACCESS_KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            **(_trusting(self.certificate) if self.certificate else {}),
        }

    def client(self, service: str) -> Any:
        """Returns a boto3 client with the root user's permissions."""
        return boto3.Session().client(  # type: ignore[call-overload]
            service,
            region_name=REGION,
            endpoint_url=self.url,
            verify=str(self.certificate) if self.certificate else None,
            aws_access_key_id=_ACCESS_KEY,
            aws_secret_access_key=_ACCESS_KEY,
        )


@contextmanager
def emulator(*, authorize: bool = False) -> Iterator[Emulator]:
    """Runs an emulator on a free port; its data is deleted at the end.

    With `authorize` it is as strict as AWS: it verifies signatures, enforces IAM policies, and uses
    HTTPS only, which CDK's policies and ours require, with a self-signed certificate.
    """
    with TemporaryDirectory(prefix="livemosaic-aws-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        certificate = _make_certificate(place) if authorize else None
        port = free_port()
        running = Emulator(f"http{'s' if authorize else ''}://127.0.0.1:{port}", certificate)
        server = _start(place, port, certificate)
        try:
            _wait_until_healthy(server, running, place / _OUTPUT)
            yield running
        finally:
            _stop(server)


def _make_certificate(folder: Path) -> Path:
    """Creates `server.crt` and `server.key`; the certificate also covers host names of APIs."""
    certificate, key = folder / "server.crt", folder / "server.key"
    names = "DNS:localhost,DNS:*.execute-api.localhost,IP:127.0.0.1"
    command = [
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost"),
        *("-addext", f"subjectAltName={names}", "-addext", "basicConstraints=critical,CA:FALSE"),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmulatorError(
            f"no certificate can be created, is openssl installed? ({error})"
        ) from error
    return certificate


def _trusting(certificate: Path) -> dict[str, str]:
    """Makes Node, boto3, and the TLS of Python and obstore trust this certificate only."""
    names = ("NODE_EXTRA_CA_CERTS", "AWS_CA_BUNDLE", "SSL_CERT_FILE")
    return dict.fromkeys(names, str(certificate))


def free_port() -> int:
    """Returns a TCP port of this machine that nothing listens on.

    It is below those that the system hands out to whoever asks for any, so that none of them takes
    it before the caller does.
    """
    while True:
        port = secrets.choice(range(16_384, 32_768))
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _start(folder: Path, port: int, certificate: Path | None) -> subprocess.Popen[bytes]:
    env = os.environ | {
        "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": _ACCESS_KEY,
        "BIND_HOST": "127.0.0.1",
        # Hide Docker: the emulator would look there for containers to clean up.
        "DOCKER_HOST": f"unix://{folder}/no-docker.sock",
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "WARNING",
        "LIVEMOSAIC_UNPACKED": str(_UNPACKED),
        "MINISTACK_REGION": REGION,
        "TMPDIR": str(folder),
    }
    if certificate:
        env |= _trusting(certificate) | {
            "AUTH": "true",
            "USE_SSL": "1",
            "MINISTACK_SSL_CERT": str(certificate),
            "MINISTACK_SSL_KEY": str(certificate.with_suffix(".key")),
        }
    with (folder / _OUTPUT).open("wb") as output:
        # In its own session: Ctrl-C reaches only our process, which then stops it in order.
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", str(_PROGRAM)],
            env=env,
            cwd=folder,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _wait_until_healthy(server: subprocess.Popen[bytes], running: Emulator, output: Path) -> None:
    trust = ssl.create_default_context(cafile=running.certificate)
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        if server.poll() is not None:
            raise EmulatorError(f"ministack exited at once:\n{output.read_text()}")
        try:
            with urllib.request.urlopen(  # noqa: S310
                f"{running.url}/_ministack/health", timeout=1, context=trust
            ):
                return
        except OSError:
            time.sleep(0.05)
    raise EmulatorError(f"ministack does not answer:\n{output.read_text()}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Stops the emulator and the Lambda functions that it runs; nothing of them is kept."""
    server.terminate()
    with suppress(subprocess.TimeoutExpired):  # it would wait for open connections
        server.wait(_END_S)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()

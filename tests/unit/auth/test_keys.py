"""Where keys of access tokens are, and how long an old one is good for."""

import logging
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from livemosaic.auth.keys import AGAIN_S, MAX_AGE_S, KeyFile, KeyRing, Secret, SigningKey, open_keys
from livemosaic.errors import InvalidRequestError, KeysUnavailableError

OLD, NEW = SigningKey(b"o" * 32), SigningKey(b"n" * 32)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Kept:
    """A source whose keys a test says; an error is raised."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys: tuple[SigningKey, ...] | Exception = keys
        self.loads = 0

    def load(self) -> tuple[SigningKey, ...]:
        self.loads += 1
        if isinstance(self.keys, Exception):
            raise self.keys
        return self.keys

    def make(self) -> None:
        self.keys = (NEW,)


class TestKey:
    def test_one_that_could_be_guessed_is_refused(self) -> None:
        with pytest.raises(InvalidRequestError, match="has 31 bytes and needs 32: make one with"):
            SigningKey(b"x" * 31)

    def test_it_is_not_in_its_repr(self) -> None:
        assert "nnn" not in repr(NEW)
        assert NEW.id not in NEW.secret.decode()


class TestKeyRing:
    def test_the_first_key_signs_and_every_key_checks(self) -> None:
        ring = KeyRing(Kept(NEW, OLD))
        assert ring.newest() == NEW
        assert [ring.named(key.id) for key in (NEW, OLD)] == [NEW, OLD]
        assert ring.named("12345678") is None

    def test_the_first_one_is_made_when_it_is_to_sign(self) -> None:
        ring = KeyRing(Kept())
        assert ring.named(NEW.id) is None
        assert ring.newest() == NEW
        assert ring.named(NEW.id) == NEW

    def test_a_key_that_was_replaced_checks_as_long_as_it_is_there(self) -> None:
        clock, source = Clock(), Kept(OLD)
        ring = KeyRing(source, clock)
        assert ring.named(OLD.id)
        source.keys = (NEW, OLD)
        clock.now += MAX_AGE_S
        assert ring.named(OLD.id)
        source.keys = (NEW,)
        clock.now += MAX_AGE_S
        assert ring.named(OLD.id) is None

    def test_a_new_key_is_known_at_once_and_made_up_names_do_not_cost_a_look_each(self) -> None:
        clock, source = Clock(), Kept(OLD)
        ring = KeyRing(source, clock)
        ring.named(OLD.id)
        source.keys = (NEW, OLD)
        clock.now += AGAIN_S
        assert ring.named(NEW.id) == NEW
        for n in range(100):
            ring.named(f"{n}")
        assert source.loads == 2

    def test_keys_of_before_go_on_where_they_cannot_be_had_again(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        clock, source = Clock(), Kept(OLD)
        ring = KeyRing(source, clock)
        ring.named(OLD.id)
        source.keys = KeysUnavailableError("gone")
        clock.now += MAX_AGE_S
        with caplog.at_level(logging.WARNING):
            assert ring.named(OLD.id) == OLD
        assert "gone" in caplog.text

    def test_where_there_were_none_that_is_an_error(self) -> None:
        source = Kept()
        source.keys = KeysUnavailableError("gone")
        with pytest.raises(KeysUnavailableError, match="gone"):
            KeyRing(source).named(OLD.id)


class TestFile:
    def test_only_its_owner_can_read_it(self, tmp_path: Path) -> None:
        file = KeyFile(tmp_path / "keys")
        file.make()
        assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
        assert [path.name for path in tmp_path.iterdir()] == ["keys"]

    def test_of_several_that_make_it_at_once_one_does(self, tmp_path: Path) -> None:
        rings = [KeyRing(KeyFile(tmp_path / "keys")) for _ in range(8)]
        found = []
        threads = [threading.Thread(target=lambda r=r: found.append(r.newest())) for r in rings]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert len(set(found)) == 1

    def test_one_beside_an_sqlite_index_is_taken_where_none_is_named(self, tmp_path: Path) -> None:
        index = f"sqlite:///{tmp_path}/index.db"
        key = KeyRing(open_keys("", index)).newest()
        assert (tmp_path / "index.db.keys").read_text().strip().encode() == key.secret

    def test_its_lines_are_keys_the_newest_first(self, tmp_path: Path) -> None:
        (tmp_path / "keys").write_text(f"{'n' * 32}\n\n{'o' * 32}\n")
        assert open_keys(str(tmp_path / "keys"), "sqlite:///x.db").load() == (NEW, OLD)

    def test_a_folder_is_no_file_of_keys(self, tmp_path: Path) -> None:
        with pytest.raises(KeysUnavailableError, match="LIVEMOSAIC_SIGNING_KEYS cannot be read"):
            open_keys(str(tmp_path), "").load()

    def test_where_it_cannot_be_made_that_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(KeysUnavailableError, match="LIVEMOSAIC_SIGNING_KEYS cannot be made"):
            KeyFile(tmp_path / "no" / "keys").make()


def test_without_a_place_an_index_in_the_cloud_has_no_keys() -> None:
    ring = KeyRing(open_keys("", "dynamodb://eu-central-1/maps"))
    assert ring.named(OLD.id) is None
    with pytest.raises(InvalidRequestError, match="private_mosaics=true"):
        ring.newest()


def test_the_arn_of_something_else_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="is not the ARN of a secret"):
        open_keys("arn:aws:ssm:eu-central-1:123456789012:parameter/keys", "")


@pytest.mark.emulator
class TestSecret:
    @pytest.fixture
    def client(
        self, dynamodb_endpoint: str, aws_credentials: None, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Any]:
        """Secrets Manager of the emulator, where boto3 finds it."""
        if dynamodb_endpoint is None:
            pytest.skip("is for the emulator")
        monkeypatch.setenv("AWS_ENDPOINT_URL", dynamodb_endpoint)
        made = boto3.Session().client("secretsmanager", "eu-central-1")
        yield made
        made.close()

    def test_the_value_signs_and_the_one_before_checks(self, client: Any) -> None:
        secret = client.create_secret(Name="keys", SecretString="o" * 32)
        source = open_keys(secret["ARN"], "")
        assert source.load() == (OLD,)
        client.put_secret_value(SecretId=secret["ARN"], SecretString="n" * 32)
        assert source.load() == (NEW, OLD)

    def test_one_that_is_not_there_is_an_error_that_names_the_cause(self, client: Any) -> None:
        arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:no-abcdef"
        with pytest.raises(KeysUnavailableError, match="ResourceNotFoundException"):
            open_keys(arn, "").load()

    def test_no_connection_is_one_too(self, aws_credentials: None, monkeypatch: Any) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:no-abcdef"
        with pytest.raises(KeysUnavailableError, match="EndpointConnectionError"):
            Secret(arn, "eu-central-1").load()

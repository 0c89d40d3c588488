"""The benchmark's object store answers as S3 does, and counts what it is asked for."""

import urllib.error
import urllib.request

import pytest

from bench.servers import ObjectStore, object_store


@pytest.fixture
def store(tmp_path):
    (tmp_path / "a.bin").write_bytes(bytes(range(100)))
    with object_store(tmp_path, 0) as store:
        yield store


def ask(store: ObjectStore, name: str, **headers: str):
    request = urllib.request.Request(store.href(name), headers=headers)
    return urllib.request.urlopen(request, timeout=5)


def test_a_range_is_given_and_counted(store):
    with ask(store, "a.bin", Range="bytes=10-19") as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == "bytes 10-19/100"
        assert answer.read() == bytes(range(10, 20))
    traffic = store.take()
    assert (traffic.requests, traffic.bytes, traffic.files) == (1, 10, {"a.bin"})


def test_what_was_counted_is_forgotten_once_it_was_taken(store):
    ask(store, "a.bin").close()
    store.take()
    assert store.take().requests == 0


def test_one_file_has_any_number_of_urls_counted_apart(store):
    ask(store, "0001/a.bin").close()
    ask(store, "0002/a.bin").close()
    assert store.take().files == {"0001/a.bin", "0002/a.bin"}


def test_a_file_written_anew_has_another_etag_and_is_refused_to_who_wants_the_old_one(
    store, tmp_path
):
    with ask(store, "a.bin") as answer:
        etag = answer.headers["ETag"]
    with ask(store, "a.bin", **{"If-Match": etag}) as answer:
        assert answer.status == 200
    (tmp_path / "a.bin").write_bytes(b"other, and longer than it was" * 10)
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(store, "a.bin", **{"If-Match": etag})
    assert refused.value.code == 412
    assert refused.value.headers["ETag"] != etag
    refused.value.close()

"""How long the index remembers what is gone, against how long an event can be on its way."""

from typing import Any

from livemosaic.index.scenes import TOMBSTONE_S


def test_a_tombstone_outlives_every_event(everything: Any) -> None:
    """One that waits in each queue, is sent back by an operator, and waits in each again."""
    queues = everything.of_type("AWS::SQS::Queue").values()
    kept = [queue["MessageRetentionPeriod"] for queue in queues]
    assert len(kept) >= 2
    assert 2 * sum(kept) < TOMBSTONE_S

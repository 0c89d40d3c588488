"""A target is judged by what was measured, and by nothing else."""

import pytest

from bench.targets import Target


@pytest.mark.parametrize(
    ("target", "judged"),
    [
        pytest.param(Target("", lambda _: 0.3, most=0.3), "yes", id="just enough"),
        pytest.param(Target("", lambda _: 0.31, most=0.3), "NO", id="too much"),
        pytest.param(Target("", lambda _: 4.1, least=4), "yes", id="more than the least"),
        pytest.param(Target("", lambda _: 3.9, least=4), "NO", id="less than the least"),
        pytest.param(Target("", lambda _: 0, most=0), "yes", id="nothing, and nothing is allowed"),
        pytest.param(Target("", lambda _: 7.0), "", id="no target, only reported"),
        pytest.param(Target("", lambda _: None, most=1), "not measured", id="a peer is missing"),
    ],
)
def test_a_target_holds_or_not_or_was_not_measured(target, judged):
    assert target.judged("sqlite")[1] == judged

"""cdk-nag's AwsSolutions rules hold, or are acknowledged with a reason."""

import pytest
from cdk_nag import AwsSolutionsChecks


@pytest.mark.parametrize(
    "name",
    [
        *("default", "everything", "adopted", "snapshots", "guarded", "overviews"),
        *("kept overviews", "everything with overviews", "cdn", "bare cdn", "own proxy"),
        *("edge", "edge in us-east-1", "traces", "collected traces"),
        *("canary", "versions", "encrypted", "encrypted and adopted"),
        *("private network", "given groups", "loads", "encrypted loads"),
        *("archives", "exports", "encrypted exports"),
    ],
)
def test_no_rule_is_broken_without_an_acknowledgement(deployment, name):
    report = AwsSolutionsChecks().validate_scope(deployment(name).app)
    assert [violation.rule_name for violation in report.violations] == []

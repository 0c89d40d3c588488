"""From an empty account to pixels: SNS, SQS, Lambda, DynamoDB and the HTTP API, by `cdk deploy`.

There is one deployment, so these tests are a story and run in their order. The emulator verifies
signatures and enforces the policies of the roles that the stacks made.
"""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.served import LEFT, RIGHT, Part, raster, scene, serving, tile_url
from e2e.cloud import Cloud, eventually
from handlers.cloudwatch import CloudWatch, of_log
from items import box, notification
from livemosaic.table.sqlite import SqliteTable
from livemosaic_cdk.tools.cdk import ROOT, CdkError
from livemosaic_cdk.tools.emulator import REGION
from livemosaic_cdk.tools.local import BUCKET

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(300)]

PNG = tile_url(".png")


def middle_of(cloud: Cloud, part: Part, mosaic: str = "m") -> list[int] | None:
    """The values in the middle of a part of the tile, None where there are none."""
    bands = np.load(io.BytesIO(cloud.get(tile_url(".npy", mosaic))))
    *values, valid = bands[:, (part[1] + part[3]) // 2, (part[0] + part[2]) // 2].tolist()
    return values if valid else None


class TestDeployed:
    def test_who_has_no_credentials_cannot_write(self, cloud: Cloud) -> None:
        body = json.dumps({"id": "m"})
        answer = cloud.request("POST", "/mosaics", {"Content-Type": "application/json"}, body=body)
        assert answer.status == 403
        assert json.loads(cloud.get("/mosaics")) == {"mosaics": []}

    def test_the_command_creates_a_mosaic_by_a_signed_request(self, cloud: Cloud) -> None:
        done = cloud.livemosaic("--api", cloud.url, "mosaics", "create", "m", "--title", "Ours")
        assert done.returncode == 0, done.stderr
        assert json.loads(cloud.get("/mosaics/m"))["title"] == "Ours"

    def test_an_item_that_is_published_is_on_the_map_as_a_local_server_shows_it(
        self, cloud: Cloud, tmp_path: Path, sqlite_table: SqliteTable
    ) -> None:
        path = raster(tmp_path / "a.tif", [10, 200, 30], LEFT)
        href = cloud.account.put(path)
        with cloud.step("SNS → SQS → Lambda → DynamoDB → a rendered tile"):
            cloud.account.publish(scene("a", href, LEFT, updated="2026-01-01T00:00:00Z"))
            eventually(lambda: middle_of(cloud, LEFT) == [10, 200, 30], "the scene on its tile")
        with serving(sqlite_table, tmp_path) as local:
            local.create("m")
            local.add(scene("a", str(path), LEFT, updated="2026-01-01T00:00:00Z"))
            assert cloud.get(PNG) == local.tile(".png").content

    def test_a_private_mosaic_is_opened_by_a_token_of_its_deployment(self, cloud: Cloud) -> None:
        own = ("--api", cloud.url)
        made = cloud.livemosaic(*own, "mosaics", "create", "secret", "--private")
        assert made.returncode == 0, made.stderr
        token = cloud.livemosaic(*own, "token", "secret", "--for", "1h").stdout.strip()
        shown = json.loads(cloud.get(f"/mosaics/secret?access_token={token}"))
        assert shown["access"] == "private"
        assert cloud.request("GET", "/mosaics/secret").status == 404
        listed = cloud.livemosaic(*own, "mosaics", "list", "--private", "--json")
        assert [mosaic["id"] for mosaic in json.loads(listed.stdout)] == ["m", "secret"]
        deleted = cloud.livemosaic(*own, "mosaics", "delete", "secret", "--yes")
        assert deleted.returncode == 0, deleted.stderr

    def test_a_picture_of_a_feature_is_asked_for_by_post_and_by_everybody(
        self, cloud: Cloud
    ) -> None:
        feature = {"type": "Feature", "properties": {}, "geometry": box(7.4, 46.1, 7.5, 46.2)}
        url, headers = "/mosaics/m/feature/8x8.npy", {"Content-Type": "application/json"}
        answer = cloud.request("POST", url, headers, body=json.dumps(feature))
        assert answer.status == 200, answer.data[:500]
        assert np.load(io.BytesIO(answer.data)).shape[1:] == (8, 8)

    def test_a_newer_version_moves_it(self, cloud: Cloud, tmp_path: Path) -> None:
        href = cloud.account.put(raster(tmp_path / "moved.tif", [90, 80, 70], RIGHT))
        cloud.account.publish(scene("a", href, RIGHT, updated="2026-01-02T00:00:00Z"))
        eventually(lambda: middle_of(cloud, RIGHT) == [90, 80, 70], "the scene where it moved to")
        assert middle_of(cloud, LEFT) is None

    def test_an_older_version_that_comes_late_changes_nothing(self, cloud: Cloud) -> None:
        older = notification(scene("a", "s3://scenes/a.tif", LEFT), "2026-01-01T12:00:00Z")
        queue, sqs = cloud.account.outputs.QueueUrl, cloud.account.aws.client("sqs")
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(older))
        eventually(lambda: cloud.waiting(cloud.account.outputs.QueueUrl) == 0, "an empty queue")
        assert middle_of(cloud, LEFT) is None
        assert middle_of(cloud, RIGHT) == [90, 80, 70]

    def test_a_deletion_takes_it_away(self, cloud: Cloud) -> None:
        gone = scene("a", "s3://scenes/moved.tif", RIGHT, updated="2026-01-03T00:00:00Z")
        cloud.account.publish(gone, status="deleted")
        eventually(lambda: middle_of(cloud, RIGHT) is None, "the empty tile")

    def test_an_item_put_into_a_bucket_is_on_the_map_until_its_object_is_removed(
        self, cloud: Cloud, tmp_path: Path
    ) -> None:
        href = cloud.account.put(raster(tmp_path / "o.tif", [40, 50, 60], RIGHT))
        cloud.notify(EventBridgeConfiguration={})
        with cloud.step("S3 → EventBridge → SQS → Lambda → S3 → DynamoDB → a rendered tile"):
            cloud.put("items/a+new=one.json", scene("o", href, RIGHT))
            eventually(lambda: middle_of(cloud, RIGHT) == [40, 50, 60], "the scene on its tile")
        cloud.account.aws.client("s3").delete_object(Bucket=BUCKET, Key="items/a+new=one.json")
        eventually(lambda: middle_of(cloud, RIGHT) is None, "the empty tile")

    def test_a_bucket_may_notify_the_queue_itself(self, cloud: Cloud, tmp_path: Path) -> None:
        sqs = cloud.account.aws.client("sqs")
        queue = sqs.get_queue_attributes(
            QueueUrl=cloud.account.outputs.QueueUrl, AttributeNames=["QueueArn"]
        )["Attributes"]["QueueArn"]
        events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
        cloud.notify(QueueConfigurations=[{"QueueArn": queue, "Events": events}])
        href = cloud.account.put(raster(tmp_path / "n.tif", [70, 60, 50], RIGHT))
        cloud.put("items/a+newer=one.json", scene("n", href, RIGHT))
        eventually(lambda: middle_of(cloud, RIGHT) == [70, 60, 50], "the scene on its tile")
        cloud.account.aws.client("s3").delete_object(Bucket=BUCKET, Key="items/a+newer=one.json")
        eventually(lambda: middle_of(cloud, RIGHT) is None, "the empty tile")
        cloud.notify()

    def test_an_event_of_a_bus_is_on_the_map(self, cloud: Cloud, tmp_path: Path) -> None:
        href = cloud.account.put(raster(tmp_path / "e.tif", [5, 15, 25], RIGHT))
        entry = {
            "Source": "org.example.stac",
            "DetailType": "Scene Published",
            "Detail": json.dumps(scene("e", href, RIGHT)),
        }
        cloud.account.aws.client("events").put_events(Entries=[entry])
        eventually(lambda: middle_of(cloud, RIGHT) == [5, 15, 25], "the scene on its tile")
        deletion = {"op": "delete", "collection": "s2", "id": "e"}
        cloud.account.publish(deletion)
        eventually(lambda: middle_of(cloud, RIGHT) is None, "the empty tile")

    def test_objects_that_are_gone_raise_an_alarm_although_tiles_are_200(
        self, cloud: Cloud, tmp_path: Path
    ) -> None:
        """By what the deployed function logs, and the alarm that CloudWatch has."""
        href = cloud.account.put(raster(tmp_path / "gone.tif", [2, 4, 6], RIGHT))
        cloud.account.publish(scene("gone", href, RIGHT))
        eventually(lambda: middle_of(cloud, RIGHT) == [2, 4, 6], "the scene on its tile")
        cloud.account.aws.client("s3").delete_object(Bucket=BUCKET, Key="gone.tif")
        eventually(lambda: middle_of(cloud, RIGHT) is None, "a tile that is blank, and a 200")
        skips, *_ = eventually(
            lambda: [line for line in cloud.logged("Tiler") if "SkippedScenes" in line],
            "a line about scenes that are skipped",
        )
        assert skips["reason"] in ("missing", "denied")
        assert skips["hosts"] == {BUCKET: 1}

        def counted() -> list[dict[str, Any]]:
            assert middle_of(cloud, RIGHT) is None
            return [x for x in cloud.logged("Tiler") if x.get("UnreadablePercent", 0) > 50]

        lines = eventually(counted, "the counts of the first minute of the fault", 100, 1)
        watching = CloudWatch()
        watching.repeat(of_log(lines), every_s=60, for_s=900)
        alarm = cloud.alarm("UnreadableScenes")
        assert watching.raised_after(alarm, 900) is not None
        topic = cloud.stack_output("AlarmTopicArn")
        assert alarm["AlarmActions"] == alarm["OKActions"] == [topic]
        cloud.account.publish({"op": "delete", "collection": "s2", "id": "gone"})
        eventually(lambda: cloud.waiting(cloud.account.outputs.QueueUrl) == 0, "an empty queue")

    def test_garbage_and_only_it_is_a_dead_letter_at_once(
        self, cloud: Cloud, tmp_path: Path
    ) -> None:
        href = cloud.account.put(raster(tmp_path / "b.tif", [1, 2, 3], LEFT))
        with cloud.step("garbage, received once, in the dead-letter queue with its reason"):
            cloud.account.publish("garbage")
            cloud.account.publish(scene("b", href, LEFT))
            [letter] = eventually(cloud.dead_letters, "the garbage")
        assert json.loads(letter["body"])["Message"] == "garbage"
        assert "not JSON" in letter["reason"]
        eventually(lambda: middle_of(cloud, LEFT) == [1, 2, 3], "the scene beside the garbage")
        eventually(lambda: cloud.waiting(cloud.account.outputs.QueueUrl) == 0, "an empty queue")

    def test_a_dead_letter_is_ingested_when_it_is_sent_back_after_what_failed_was_mended(
        self, cloud: Cloud, tmp_path: Path
    ) -> None:
        queues = cloud.account.outputs
        cloud.put("late.json", {"type": "unfinished"})
        cloud.account.publish({"href": "s3://scenes/late.json"})
        listed = eventually(
            lambda: [found for found in cloud.dead_letters() if "late.json" in found["about"]],
            "the Item that is unfinished",
        )
        assert "unfinished" in listed[0]["reason"]
        href = cloud.account.put(raster(tmp_path / "late.tif", [33, 44, 55], RIGHT))
        cloud.put("late.json", scene("late", href, RIGHT))
        done = cloud.livemosaic(
            *("dlq", "redrive", "--queue", queues.DeadLetterQueueUrl, "--to", queues.QueueUrl),
            *("--reason", "unfinished"),
        )
        assert (done.returncode, done.stderr) == (0, "1 dead letter sent back\n")
        eventually(lambda: middle_of(cloud, RIGHT) == [33, 44, 55], "the scene that was late")
        assert len(cloud.dead_letters()) == 1, "the garbage stays"

    def test_the_map_page_and_its_files_are_served(self, cloud: Cloud) -> None:
        assert b"<title>" in cloud.get("/mosaics/m/map.html")
        assert cloud.get("/static/maplibre/maplibre-gl.mjs")
        assert cloud.url in cloud.get("/mosaics/m/tiles/WebMercatorQuad/tilejson.json").decode()

    def test_the_command_works_on_the_api_and_on_the_table(
        self, cloud: Cloud, tmp_path: Path
    ) -> None:
        href = cloud.account.put(raster(tmp_path / "c.tif", [7, 8, 9]))
        file = tmp_path / "c.json"
        file.write_text(json.dumps(scene("c", href, collection="ours")))
        index = f"dynamodb://{REGION}/{cloud.account.outputs.TableName}"
        made = cloud.livemosaic("--index", index, "mosaics", "create", "t", "--collection", "ours")
        assert made.returncode == 0, made.stderr
        taken = cloud.livemosaic("--api", cloud.url, "ingest", "--mosaic", "t", str(file))
        assert taken.returncode == 0, taken.stderr
        assert taken.stderr.startswith("1 applied"), taken.stderr
        assert middle_of(cloud, LEFT, "t") == [7, 8, 9]
        gone = cloud.livemosaic("--api", cloud.url, "mosaics", "delete", "t", "--yes")
        assert gone.returncode == 0, gone.stderr
        listed = cloud.livemosaic("--index", index, "mosaics", "list", "--json")
        assert [mosaic["id"] for mosaic in json.loads(listed.stdout)] == ["m"]

    def test_make_deploy_says_what_it_makes_and_costs_before_it_asks(self, cloud: Cloud) -> None:
        before = cloud.stacks()
        done = subprocess.run(
            [sys.executable, "-m", "livemosaic_cdk.tools.deploy", "-c", "name=other"],
            input="n\n",
            env=dict(cloud.account.aws.environment),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        for said in ("account 000000000000", REGION, "other-data", "1 million tiles", "Deploy?"):
            assert said in done.stderr
        assert cloud.stacks() == before

    def test_a_wrong_setting_changes_nothing(self, cloud: Cloud) -> None:
        before = cloud.stacks()
        with pytest.raises(
            CdkError, match="tiler_memroy='512': no such key; did you mean tiler_memory"
        ):
            cloud.account.changed(tiler_memroy="512").deploy()
        assert cloud.stacks() == before

    def test_a_changed_deployment_keeps_the_mosaics(self, cloud: Cloud) -> None:
        before = cloud.get(PNG)
        with cloud.step("cdk deploy of a changed app"):
            changed = cloud.account.changed(
                tiler_memory="1024", cors_origins="https://maps.example"
            ).deploy()
        assert changed == cloud.account.outputs
        assert cloud.get(PNG) == before

    def test_a_deployment_that_is_removed_leaves_the_table_for_the_next(self, cloud: Cloud) -> None:
        before = cloud.get(PNG)
        with cloud.step("cdk destroy"):
            cloud.account.cdk.run("destroy", "--all", "--force")
        assert cloud.stacks() == {"CDKToolkit"}
        with cloud.step("cdk deploy on the table that was left"):
            cloud.account.outputs = cloud.account.changed(
                table=cloud.account.outputs.TableName
            ).deploy()
        assert cloud.get(PNG) == before

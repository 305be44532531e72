"""What was acknowledged is there after the emulator was killed."""

import os
import signal
import threading

from botocore.exceptions import ClientError

from tests.support.waiting import until
from tests.twin.events.test_event_rows import KEYS, TABLE


def kill_emulator(harness) -> None:
    pid = next(process.pid for process in harness.twin.processes.running() if process.name == "ministack")
    os.kill(pid, signal.SIGKILL)


def answers(call):
    def tried():
        try:
            return call() or True
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                raise
            return None

    return until(tried)


def test_rows_that_were_acknowledged_survive_a_killed_emulator(harness, declare):
    declare(TABLE, "kept-rows", **KEYS, ttl={"attributeName": "expires", "enabled": True})
    tables, kept = harness.client("dynamodb"), []

    def row(number):
        return {"object": {"S": f"b/{number}"}, "version": {"S": "1"}}

    def write():
        for number in range(1000):
            put = {"TableName": "kept-rows", "Item": row(number), "ConditionExpression": "attribute_not_exists(version)"}
            latest = {"TableName": "kept-rows", "Item": {"object": {"S": f"b/{number}"}, "version": {"S": "#latest"}}}
            try:
                tables.transact_write_items(TransactItems=[{"Put": put}, {"Put": latest}])
                kept.append(number)
            except ClientError:
                return

    writer = threading.Thread(target=write)
    writer.start()
    until(lambda: len(kept) > 30)
    kill_emulator(harness)
    writer.join()
    answers(lambda: tables.describe_table(TableName="kept-rows"))
    items = tables.scan(TableName="kept-rows", ConsistentRead=True)["Items"]
    found = {item["object"]["S"] for item in items}
    assert {f"b/{number}" for number in kept} <= found
    assert len(items) == 2 * len(found), "a transaction was torn"
    assert tables.describe_time_to_live(TableName="kept-rows")["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED"
    assert tables.query(TableName="kept-rows", KeyConditionExpression="#o = :o", ExpressionAttributeNames={"#o": "object"},
                        ExpressionAttributeValues={":o": {"S": f"b/{kept[0]}"}})["Count"] == 2  # fmt: skip


def test_versions_of_an_object_and_its_buckets_versioning_survive_a_killed_emulator(harness, declare):
    bucket = declare("aws:s3/bucket:Bucket", bucket="kept-versions", forceDestroy=True)
    declare("aws:s3/bucketVersioning:BucketVersioning", bucket=bucket.id, versioningConfiguration={"status": "Enabled"})
    s3 = harness.client("s3")
    versions = [s3.put_object(Bucket=bucket.id, Key="k", Body=f"{number}".encode())["VersionId"] for number in range(3)]
    kill_emulator(harness)
    answers(lambda: s3.head_bucket(Bucket=bucket.id))
    assert s3.get_bucket_versioning(Bucket=bucket.id)["Status"] == "Enabled"
    bodies = [s3.get_object(Bucket=bucket.id, Key="k", VersionId=version)["Body"].read() for version in versions]
    assert bodies == [b"0", b"1", b"2"]
    assert s3.put_object(Bucket=bucket.id, Key="k", Body=b"3")["VersionId"] not in versions

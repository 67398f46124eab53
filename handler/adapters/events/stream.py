"""The table's stream, read as Lambda reads it: what follows in a shard comes behind what it follows.

The rule it keeps: nothing is passed over. Who stays away for longer than the stream keeps its records is told.
"""

from __future__ import annotations

from typing import Any, Final

from handler.adapters.support.errors import AwsError

_EXPIRED: Final = "ExpiredIteratorException"


class TableStream:
    """One table's stream, from the time of the first reading on, or `from_start`, as far back as it goes."""

    def __init__(self, client: Any, stream_arn: str, *, from_start: bool = False) -> None:
        self._client = client
        self._stream_arn = stream_arn
        self._begins = "TRIM_HORIZON" if from_start else "LATEST"
        # By shard: the next iterator; "" once it was read to its end.
        self._iterators: dict[str, str] = {}
        self._last: dict[str, str] = {}

    def read(self) -> list[dict[str, Any]]:
        """What was written since, in the order of each item's writes; a page of each shard at most.

        Raises AwsError, TrimmedDataAccessException among them where records were lost.
        """
        self._find_shards()
        found: list[dict[str, Any]] = []
        for shard, iterator in self._iterators.items():
            if not iterator:
                continue
            try:
                page = self._client.get_records(ShardIterator=iterator)
            except AwsError as error:
                if error.code != _EXPIRED:
                    raise
                # It lasts for 15 minutes.
                self._iterators[shard] = self._iterator(shard, "TRIM_HORIZON")
                continue
            self._iterators[shard] = page.get("NextShardIterator") or ""
            found += page["Records"]
            if page["Records"]:
                self._last[shard] = page["Records"][-1]["dynamodb"]["SequenceNumber"]
        # What is read from now on was there when the reading began.
        self._begins = "TRIM_HORIZON"
        return found

    def _find_shards(self) -> None:
        """Begin those whose parent was read to its end, or is no longer known."""
        shards = self._shards()
        known = {shard["ShardId"] for shard in shards}
        for shard in shards:
            name, parent = shard["ShardId"], shard.get("ParentShardId", "")
            if name in self._iterators:
                continue
            if self._begins == "LATEST":
                is_closed = "EndingSequenceNumber" in shard["SequenceNumberRange"]
                self._iterators[name] = "" if is_closed else self._iterator(name, self._begins)
            elif parent not in known or self._iterators.get(parent) == "":
                self._iterators[name] = self._iterator(name, self._begins)

    def _shards(self) -> list[dict[str, Any]]:
        shards: list[dict[str, Any]] = []
        request: dict[str, str] = {"StreamArn": self._stream_arn}
        while True:
            described = self._client.describe_stream(**request)["StreamDescription"]
            shards += described["Shards"]
            if "LastEvaluatedShardId" not in described:
                return shards
            request["ExclusiveStartShardId"] = described["LastEvaluatedShardId"]

    def _iterator(self, shard: str, begins: str) -> str:
        request = {"StreamArn": self._stream_arn, "ShardId": shard, "ShardIteratorType": begins}
        if shard in self._last:
            request |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": self._last[shard]}
        return str(self._client.get_shard_iterator(**request)["ShardIterator"])

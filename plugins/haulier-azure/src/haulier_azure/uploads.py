"""Writing: blocks, block lists and single requests, each body with a checksum that the service compares."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from haulier.backends.api import HeldPart
from haulier.errors import IntegrityError, SessionLostError, TransferError
from haulier_azure.blocks import BlockId, owner_of
from haulier_azure.bodies import OutgoingBody
from haulier_azure.checksums import Checksum, by_option
from haulier_azure.failures import code_of, is_a_lack_of_rights
from haulier_azure.metadata import object_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from haulier.backends.api import Artifact, Body, Context, Part, Upload
    from haulier_azure.place import Place

__all__ = ["Uploads"]


class Uploads:
    """The service's calls that write. Thread-safe.

    Args:
        place: Where objects lie.
        clock: Wall time, seconds since the epoch, for the end of retention.
    """

    def __init__(self, place: Place, clock: Callable[[], float] = time.time) -> None:
        self._place = place
        self._options = place.client.options
        self._clock = clock

    @property
    def checksum(self) -> Checksum:
        """What new sessions check by."""
        return by_option(self._options.checksum)

    # -- blocks ------------------------------------------------------------------------------------------------

    def send(
        self, upload: Upload, artifact: Artifact, checksum: Checksum, part: Part, body: Body, context: Context
    ) -> HeldPart:
        """Send one part as a block.

        Raises:
            IntegrityError: The service acknowledges other bytes.
        """
        digest = body.digest(checksum.name)
        block = str(BlockId(owner_of(upload, checksum.name), part.number, digest))
        answer = self._place.client.blob(
            "stage_block",
            self._place.whole_key(artifact.key),
            silence=context.silence,
            block_id=block,
            data=OutgoingBody(body) if part.size else b"",
            length=part.size,
            headers=checksum.header(digest),
        )
        self._compare(checksum, digest, answer, artifact)
        return HeldPart(part.size, block, {checksum.name: digest})

    def blocks(self, upload: Upload, artifact: Artifact, checksum: Checksum, context: Context) -> dict[int, HeldPart]:
        """Blocks of this session that the service holds and that are not committed.

        Of a part that was sent twice with different bytes neither counts: which of them is wanted cannot be told.

        Raises:
            SessionLostError: The credentials may not ask.
        """
        key = self._place.whole_key(artifact.key)
        try:
            _, listed = self._place.client.blob(
                "get_block_list", key, silence=context.silence, block_list_type="uncommitted"
            )
        except TransferError as error:
            if code_of(error) in {"BlobNotFound", "ResourceNotFound"}:
                return {}
            if is_a_lack_of_rights(error):
                # Who may write but not look starts over: that costs bytes, and failing would cost the upload.
                raise SessionLostError("the credentials may not list blocks", where=error.where) from error
            raise
        return _own(listed, owner_of(upload, checksum.name), checksum)

    def commit(
        self,
        upload: Upload,
        artifact: Artifact,
        parts: Mapping[int, HeldPart],
        sha256: str,
        context: Context,
    ) -> Mapping[str, Any]:
        """Make an object of own blocks, only if there is none.

        Raises:
            ConflictError: Something lies under the key.
            OffsetError: A block is missing.
        """
        from azure.core import MatchConditions

        answer: Mapping[str, Any] = self._place.client.blob(
            "commit_block_list",
            self._place.whole_key(artifact.key),
            silence=context.silence,
            patience=max(context.silence, context.commit_timeout),
            block_list=_listed(parts),
            match_condition=MatchConditions.IfMissing,
            **self._writing(upload, artifact, sha256),
        )
        return answer

    # -- one request -------------------------------------------------------------------------------------------

    def put(
        self, upload: Upload, artifact: Artifact, checksum: Checksum, body: Body, context: Context
    ) -> dict[str, Any]:
        """Write an object in one request, only if there is none.

        Raises:
            ConflictError: Something lies under the key.
            IntegrityError: The service acknowledges other bytes.
        """
        digest = body.digest(checksum.name)
        body.rewind()
        answer: dict[str, Any] = self._place.client.blob(
            "upload_blob",
            self._place.whole_key(artifact.key),
            silence=context.silence,
            data=body.read(),
            length=artifact.size,
            overwrite=False,
            headers=checksum.header(digest),
            **self._writing(upload, artifact, body.whole("sha256")),
        )
        self._compare(checksum, digest, answer, artifact)
        return answer

    # -- what goes along ---------------------------------------------------------------------------------------

    def _compare(self, checksum: Checksum, digest: str, answer: Mapping[str, Any], artifact: Artifact) -> None:
        if checksum.told(answer) not in {"", digest}:
            raise IntegrityError(
                f"the service acknowledges other bytes ({checksum.name} differs)",
                where=self._place.location(artifact.key),
            )

    def _writing(self, upload: Upload, artifact: Artifact, sha256: str) -> dict[str, Any]:
        """Parameters that every new object has."""
        from azure.storage.blob import ContentSettings, ImmutabilityPolicy, StandardBlobTier

        options = self._options
        given: dict[str, Any] = {
            "content_settings": ContentSettings(content_type=artifact.content_type),
            "metadata": object_metadata(upload, artifact, sha256),
        }
        if options.tier:
            given["standard_blob_tier"] = StandardBlobTier(options.tier.capitalize())
        if options.immutability_mode:
            mode = options.immutability_mode.capitalize()
            given["immutability_policy"] = ImmutabilityPolicy(expiry_time=self._retain_until(), policy_mode=mode)
        if options.legal_hold:
            given["legal_hold"] = True
        return given

    def _retain_until(self) -> datetime:
        fixed = self._options.retain_until
        return fixed or datetime.fromtimestamp(self._clock(), UTC) + timedelta(days=self._options.immutability_days)


def _own(listed: list[Any], owner: str, checksum: Checksum) -> dict[int, HeldPart]:
    found: dict[int, HeldPart] = {}
    doubtful: set[int] = set()
    for block in listed:
        told = BlockId.parse(block.id, owner, checksum.digits)
        if told is None:
            continue
        if told.number in found:
            doubtful.add(told.number)
        found[told.number] = HeldPart(block.size, block.id, {checksum.name: told.digest})
    return {number: part for number, part in found.items() if number not in doubtful}


def _listed(parts: Mapping[int, HeldPart]) -> list[Any]:
    from azure.storage.blob import BlobBlock

    return [BlobBlock(block_id=part.etag) for _, part in sorted(parts.items())]

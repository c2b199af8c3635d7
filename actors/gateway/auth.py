"""Whether who asks may (protocol 06 §2.5)."""

from __future__ import annotations

from dataclasses import dataclass

from greenray.actors.at_once import at_once, value_of
from greenray.chain.ports import ChainClient
from greenray.protocol.errors import AccessDenied, NoSuchAccount, WrongObjectStatus
from greenray.protocol.objects import ActionType, BucketInfo, ObjectInfo, ObjectStatus

ANONYMOUS = ""
_REMEMBERED_ACCOUNTS = 10_000


@dataclass(frozen=True, slots=True)
class Granted:
    """The objects of a permission that was given."""

    signer: str
    bucket: BucketInfo
    object: ObjectInfo


class PermissionChecks:
    """The checks of 06 §2.5, in their order, for one SP.

    What cannot change back is remembered (an account never disappears); buckets, objects and
    permissions are asked for every time. The questions of one request are asked at once and their
    answers judged in order.
    """

    def __init__(self, chain: ChainClient, sp_address: str) -> None:
        self._chain = chain
        self._sp_address = sp_address
        self._known_accounts: set[str] = set()

    async def check_account(self, signer: str) -> None:
        """Raises AccessDenied for an address without account, ChainError."""
        if signer == ANONYMOUS or signer in self._known_accounts:
            return
        try:
            await self._chain.account(signer)
        except NoSuchAccount as error:
            raise AccessDenied(
                "the account does not exist on chain", signer, "Send it some BNB."
            ) from error
        if len(self._known_accounts) >= _REMEMBERED_ACCOUNTS:
            self._known_accounts.clear()
        self._known_accounts.add(signer)

    async def may_upload(self, signer: str, bucket_name: str, object_name: str) -> Granted:
        """For PutObject and the progress queries.

        Raises: AccessDenied, NoSuchBucket, NoSuchObject, ChainError.
        """
        return await self._granted(
            signer, bucket_name, object_name, ActionType.ACTION_CREATE_OBJECT
        )

    async def may_read(self, signer: str, bucket_name: str, object_name: str) -> Granted:
        """For GetObject. Raises as ``may_upload``, and WrongObjectStatus."""
        granted = await self._granted(
            signer, bucket_name, object_name, ActionType.ACTION_GET_OBJECT, sealed=True
        )
        if not await self._chain.is_stream_active(granted.bucket.payment_address):
            raise AccessDenied(
                "the payment account is not active", bucket_name, "Deposit BNB to it."
            )
        return granted

    async def may_challenge(self, signer: str, info: ObjectInfo) -> Granted:
        """Whoever may read the payload may have its pieces, of any provider.

        Raises: AccessDenied, NoSuchBucket, NoSuchObject, ChainError.
        """
        account, bucket, allowed = await at_once(
            self.check_account(signer),
            self._chain.head_bucket(info.bucket_name),
            self._chain.verify_permission(
                signer, info.bucket_name, info.object_name, ActionType.ACTION_GET_OBJECT
            ),
        )
        value_of(account)
        if not value_of(allowed):
            raise AccessDenied(
                "only storage providers, and who may read the object, may ask for pieces", signer
            )
        return Granted(signer, value_of(bucket), info)

    async def owned_bucket(self, signer: str, bucket_name: str) -> BucketInfo:
        """For what only the owner of a bucket may ask. Raises: AccessDenied, NoSuchBucket,
        ChainError."""
        account, bucket = await at_once(
            self.check_account(signer), self._chain.head_bucket(bucket_name)
        )
        value_of(account)
        found: BucketInfo = value_of(bucket)
        if found.owner != signer:
            raise AccessDenied(f"{signer} is not the owner of the bucket", bucket_name)
        return found

    async def _granted(
        self,
        signer: str,
        bucket_name: str,
        object_name: str,
        action: ActionType,
        *,
        sealed: bool = False,
    ) -> Granted:
        chain = self._chain
        where = f"{bucket_name}/{object_name}"
        account, bucket, info, allowed = await at_once(
            self.check_account(signer),
            chain.head_bucket(bucket_name),
            chain.head_object(bucket_name, object_name),
            # The Go provider asks about the object for reading only.
            chain.verify_permission(
                signer,
                bucket_name,
                object_name if action is ActionType.ACTION_GET_OBJECT else "",
                action,
            ),
        )
        value_of(account)
        found_bucket: BucketInfo = value_of(bucket)
        found_object: ObjectInfo = value_of(info)
        if sealed and found_object.object_status is not ObjectStatus.OBJECT_STATUS_SEALED:
            raise WrongObjectStatus(
                f"the object is {found_object.object_status.name}, not sealed",
                where,
                "Wait until it is sealed.",
            )
        if not value_of(allowed):
            raise AccessDenied(f"{signer or 'anyone'} has no {action.name}", where)
        primary = found_bucket.primary_sp_address
        if primary != self._sp_address:
            raise AccessDenied(
                f"{primary} is the primary of the bucket, not {self._sp_address}",
                where,
                "Ask the primary's endpoint.",
            )
        return Granted(signer, found_bucket, found_object)

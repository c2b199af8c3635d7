"""Protobuf messages of the v0.2 chain and of the SPs' P2P protocol.

Descriptors are built here at import, in a pool of their own, and the official runtime does the
encoding: no generated code, no version check of generators. Fields are written as in a .proto
file. Sources: protocol 03 §3, 04 §1.1, §3, §7, §8, 05 §2, §3, §5.

Enums are declared as int32: the bytes are the same, unknown numbers survive, and the names live
with their Python enums in ``greenray.protocol.objects``. Custom types of the chain (Int, Uint, Dec)
are decimal text on the wire, hence strings.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from greenray.protocol.errors import InvalidInput

_SCHEMA: dict[str, str] = {
    "google.protobuf.Any": "string type_url = 1; bytes value = 2",
    "google.protobuf.Timestamp": "int64 seconds = 1; int32 nanos = 2",
    "greenfield.common.UInt64Value": "uint64 value = 1",
    # --- results (04 §8) ---
    "tendermint.abci.EventAttribute": "string key = 1; string value = 2; bool index = 3",
    "tendermint.abci.Event": """
        string type = 1; repeated tendermint.abci.EventAttribute attributes = 2""",
    "tendermint.abci.ResponseDeliverTx": """
        uint32 code = 1; bytes data = 2; int64 gas_wanted = 5; int64 gas_used = 6""",
    "cosmos.base.abci.v1beta1.MsgData": "string msg_type = 1; bytes data = 2",
    "cosmos.base.abci.v1beta1.TxMsgData": """
        repeated cosmos.base.abci.v1beta1.MsgData data = 1;
        repeated google.protobuf.Any msg_responses = 2""",
    "cosmos.base.abci.v1beta1.GasInfo": """
        uint64 gas_wanted = 1; uint64 gas_used = 2; string min_gas_price = 3""",
    "cosmos.base.abci.v1beta1.Result": """
        bytes data = 1; string log = 2;
        repeated tendermint.abci.Event events = 3;
        repeated google.protobuf.Any msg_responses = 4""",
    "cosmos.base.abci.v1beta1.Attribute": "string key = 1; string value = 2",
    "cosmos.base.abci.v1beta1.StringEvent": """
        string type = 1; repeated cosmos.base.abci.v1beta1.Attribute attributes = 2""",
    "cosmos.base.abci.v1beta1.ABCIMessageLog": """
        uint32 msg_index = 1; string log = 2;
        repeated cosmos.base.abci.v1beta1.StringEvent events = 3""",
    "cosmos.base.abci.v1beta1.TxResponse": """
        int64 height = 1; string txhash = 2; string codespace = 3; uint32 code = 4;
        string data = 5; string raw_log = 6;
        repeated cosmos.base.abci.v1beta1.ABCIMessageLog logs = 7;
        string info = 8; int64 gas_wanted = 9; int64 gas_used = 10;
        google.protobuf.Any tx = 11; string timestamp = 12;
        repeated tendermint.abci.Event events = 13""",
    # --- transactions (04 §3) ---
    "cosmos.base.v1beta1.Coin": "string denom = 1; string amount = 2",
    "cosmos.crypto.eth.ethsecp256k1.PubKey": "bytes key = 1",
    "cosmos.crypto.multisig.v1beta1.CompactBitArray": """
        uint32 extra_bits_stored = 1; bytes elems = 2""",
    "cosmos.tx.v1beta1.ModeInfoSingle": "int32 mode = 1",
    "cosmos.tx.v1beta1.ModeInfoMulti": """
        cosmos.crypto.multisig.v1beta1.CompactBitArray bitarray = 1;
        repeated cosmos.tx.v1beta1.ModeInfo mode_infos = 2""",
    "cosmos.tx.v1beta1.ModeInfo": """
        cosmos.tx.v1beta1.ModeInfoSingle single = 1;
        cosmos.tx.v1beta1.ModeInfoMulti multi = 2""",
    "cosmos.tx.v1beta1.SignerInfo": """
        google.protobuf.Any public_key = 1;
        cosmos.tx.v1beta1.ModeInfo mode_info = 2;
        uint64 sequence = 3""",
    "cosmos.tx.v1beta1.Fee": """
        repeated cosmos.base.v1beta1.Coin amount = 1;
        uint64 gas_limit = 2; string payer = 3; string granter = 4""",
    "cosmos.tx.v1beta1.Tip": """
        repeated cosmos.base.v1beta1.Coin amount = 1; string tipper = 2""",
    "cosmos.tx.v1beta1.AuthInfo": """
        repeated cosmos.tx.v1beta1.SignerInfo signer_infos = 1;
        cosmos.tx.v1beta1.Fee fee = 2;
        cosmos.tx.v1beta1.Tip tip = 3""",
    "cosmos.tx.v1beta1.TxBody": """
        repeated google.protobuf.Any messages = 1;
        string memo = 2; uint64 timeout_height = 3;
        repeated google.protobuf.Any extension_options = 1023;
        repeated google.protobuf.Any non_critical_extension_options = 2047""",
    "cosmos.tx.v1beta1.Tx": """
        cosmos.tx.v1beta1.TxBody body = 1;
        cosmos.tx.v1beta1.AuthInfo auth_info = 2;
        repeated bytes signatures = 3""",
    "cosmos.tx.v1beta1.TxRaw": """
        bytes body_bytes = 1; bytes auth_info_bytes = 2; repeated bytes signatures = 3""",
    # --- simulation, broadcast, look-up (04 §7.3, §7.5, 05 §5) ---
    "cosmos.tx.v1beta1.SimulateRequest": "cosmos.tx.v1beta1.Tx tx = 1; bytes tx_bytes = 2",
    "cosmos.tx.v1beta1.SimulateResponse": """
        cosmos.base.abci.v1beta1.GasInfo gas_info = 1;
        cosmos.base.abci.v1beta1.Result result = 2""",
    "cosmos.tx.v1beta1.BroadcastTxRequest": "bytes tx_bytes = 1; int32 mode = 2",
    "cosmos.tx.v1beta1.BroadcastTxResponse": """
        cosmos.base.abci.v1beta1.TxResponse tx_response = 1""",
    "cosmos.tx.v1beta1.GetTxRequest": "string hash = 1",
    "cosmos.tx.v1beta1.GetTxResponse": """
        cosmos.tx.v1beta1.Tx tx = 1; cosmos.base.abci.v1beta1.TxResponse tx_response = 2""",
    # --- pages (05 §2), accounts and balances (04 §7.2) ---
    "cosmos.base.query.v1beta1.PageRequest": """
        bytes key = 1; uint64 offset = 2; uint64 limit = 3; bool count_total = 4;
        bool reverse = 5""",
    "cosmos.base.query.v1beta1.PageResponse": "bytes next_key = 1; uint64 total = 2",
    "cosmos.auth.v1beta1.QueryAccountRequest": "string address = 1",
    "cosmos.auth.v1beta1.QueryAccountResponse": "google.protobuf.Any account = 1",
    "cosmos.auth.v1beta1.BaseAccount": """
        string address = 1; google.protobuf.Any pub_key = 2;
        uint64 account_number = 3; uint64 sequence = 4""",
    "cosmos.auth.v1beta1.ModuleAccount": """
        cosmos.auth.v1beta1.BaseAccount base_account = 1; string name = 2;
        repeated string permissions = 3""",
    "cosmos.bank.v1beta1.MsgSend": """
        string from_address = 1; string to_address = 2;
        repeated cosmos.base.v1beta1.Coin amount = 3""",
    "cosmos.bank.v1beta1.MsgSendResponse": "",
    "cosmos.bank.v1beta1.QueryBalanceRequest": "string address = 1; string denom = 2",
    "cosmos.bank.v1beta1.QueryBalanceResponse": "cosmos.base.v1beta1.Coin balance = 1",
    "cosmos.bank.v1beta1.QueryAllBalancesRequest": """
        string address = 1; cosmos.base.query.v1beta1.PageRequest pagination = 2""",
    "cosmos.bank.v1beta1.QueryAllBalancesResponse": """
        repeated cosmos.base.v1beta1.Coin balances = 1;
        cosmos.base.query.v1beta1.PageResponse pagination = 2""",
    # --- blocks (05 §5) ---
    "tendermint.version.Consensus": "uint64 block = 1; uint64 app = 2",
    "tendermint.types.PartSetHeader": "uint32 total = 1; bytes hash = 2",
    "tendermint.types.BlockID": """
        bytes hash = 1; tendermint.types.PartSetHeader part_set_header = 2""",
    "tendermint.types.Header": """
        tendermint.version.Consensus version = 1; string chain_id = 2; int64 height = 3;
        google.protobuf.Timestamp time = 4; tendermint.types.BlockID last_block_id = 5;
        bytes last_commit_hash = 6; bytes data_hash = 7; bytes validators_hash = 8;
        bytes next_validators_hash = 9; bytes consensus_hash = 10; bytes app_hash = 11;
        bytes last_results_hash = 12; bytes evidence_hash = 13; bytes proposer_address = 14;
        bytes randao_mix = 15""",
    "tendermint.types.Data": "repeated bytes txs = 1",
    "tendermint.types.EvidenceList": "",
    "tendermint.types.CommitSig": """
        int32 block_id_flag = 1; bytes validator_address = 2;
        google.protobuf.Timestamp timestamp = 3; bytes signature = 4""",
    "tendermint.types.Commit": """
        int64 height = 1; int32 round = 2; tendermint.types.BlockID block_id = 3;
        repeated tendermint.types.CommitSig signatures = 4""",
    "tendermint.types.Block": """
        tendermint.types.Header header = 1; tendermint.types.Data data = 2;
        tendermint.types.EvidenceList evidence = 3; tendermint.types.Commit last_commit = 4""",
    "tendermint.p2p.ProtocolVersion": "uint64 p2p = 1; uint64 block = 2; uint64 app = 3",
    "tendermint.p2p.DefaultNodeInfoOther": "string tx_index = 1; string rpc_address = 2",
    "tendermint.p2p.DefaultNodeInfo": """
        tendermint.p2p.ProtocolVersion protocol_version = 1; string default_node_id = 2;
        string listen_addr = 3; string network = 4; string version = 5; bytes channels = 6;
        string moniker = 7; tendermint.p2p.DefaultNodeInfoOther other = 8""",
    "cosmos.base.tendermint.v1beta1.Header": """
        tendermint.version.Consensus version = 1; string chain_id = 2; int64 height = 3;
        google.protobuf.Timestamp time = 4; tendermint.types.BlockID last_block_id = 5;
        bytes last_commit_hash = 6; bytes data_hash = 7; bytes validators_hash = 8;
        bytes next_validators_hash = 9; bytes consensus_hash = 10; bytes app_hash = 11;
        bytes last_results_hash = 12; bytes evidence_hash = 13; string proposer_address = 14;
        bytes randao_mix = 15""",
    "cosmos.base.tendermint.v1beta1.Block": """
        cosmos.base.tendermint.v1beta1.Header header = 1; tendermint.types.Data data = 2;
        tendermint.types.EvidenceList evidence = 3; tendermint.types.Commit last_commit = 4""",
    "cosmos.base.tendermint.v1beta1.GetLatestBlockRequest": "",
    "cosmos.base.tendermint.v1beta1.GetLatestBlockResponse": """
        tendermint.types.BlockID block_id = 1; tendermint.types.Block block = 2;
        cosmos.base.tendermint.v1beta1.Block sdk_block = 3""",
    "cosmos.base.tendermint.v1beta1.GetBlockByHeightRequest": "int64 height = 1",
    "cosmos.base.tendermint.v1beta1.GetBlockByHeightResponse": """
        tendermint.types.BlockID block_id = 1; tendermint.types.Block block = 2;
        cosmos.base.tendermint.v1beta1.Block sdk_block = 3""",
    "cosmos.base.tendermint.v1beta1.GetSyncingRequest": "",
    "cosmos.base.tendermint.v1beta1.GetSyncingResponse": "bool syncing = 1",
    "cosmos.base.tendermint.v1beta1.Module": "string path = 1; string version = 2; string sum = 3",
    "cosmos.base.tendermint.v1beta1.VersionInfo": """
        string name = 1; string app_name = 2; string version = 3; string git_commit = 4;
        string build_tags = 5; string go_version = 6;
        repeated cosmos.base.tendermint.v1beta1.Module build_deps = 7;
        string cosmos_sdk_version = 8""",
    "cosmos.base.tendermint.v1beta1.GetNodeInfoRequest": "",
    "cosmos.base.tendermint.v1beta1.GetNodeInfoResponse": """
        tendermint.p2p.DefaultNodeInfo default_node_info = 1;
        cosmos.base.tendermint.v1beta1.VersionInfo application_version = 2""",
    # --- storage messages (04 §1.1) ---
    "greenfield.permission.Principal": "int32 type = 1; string value = 2",
    "greenfield.permission.Statement": """
        int32 effect = 1; repeated int32 actions = 2; repeated string resources = 3;
        google.protobuf.Timestamp expiration_time = 4;
        greenfield.common.UInt64Value limit_size = 5""",
    "greenfield.permission.Policy": """
        string id = 1; greenfield.permission.Principal principal = 2; int32 resource_type = 3;
        string resource_id = 4; repeated greenfield.permission.Statement statements = 5;
        google.protobuf.Timestamp expiration_time = 6""",
    "greenfield.permission.PolicyGroupItem": "string policy_id = 1; string group_id = 2",
    "greenfield.permission.PolicyGroup": """
        repeated greenfield.permission.PolicyGroupItem items = 1""",
    "greenfield.permission.GroupMember": "string id = 1; string group_id = 2; string member = 3",
    "greenfield.permission.Params": """
        uint64 maximum_statements_num = 1; uint64 maximum_group_num = 2""",
    "greenfield.permission.QueryParamsRequest": "",
    "greenfield.permission.QueryParamsResponse": "greenfield.permission.Params params = 1",
    "greenfield.storage.Approval": "uint64 expired_height = 1; bytes sig = 2",
    "greenfield.storage.MsgCreateBucket": """
        string creator = 1; string bucket_name = 2; int32 visibility = 3;
        string payment_address = 4; string primary_sp_address = 6;
        greenfield.storage.Approval primary_sp_approval = 7; uint64 charged_read_quota = 8""",
    "greenfield.storage.MsgCreateBucketResponse": "string bucket_id = 1",
    "greenfield.storage.MsgCreateObject": """
        string creator = 1; string bucket_name = 2; string object_name = 3;
        uint64 payload_size = 4; int32 visibility = 5; string content_type = 6;
        greenfield.storage.Approval primary_sp_approval = 7;
        repeated bytes expect_checksums = 8; int32 redundancy_type = 9;
        repeated string expect_secondary_sp_addresses = 10""",
    "greenfield.storage.MsgCreateObjectResponse": "string object_id = 1",
    "greenfield.storage.MsgSealObject": """
        string operator = 1; string bucket_name = 2; string object_name = 3;
        repeated string secondary_sp_addresses = 4;
        repeated bytes secondary_sp_signatures = 5""",
    "greenfield.storage.MsgSealObjectResponse": "",
    "greenfield.storage.MsgRejectSealObject": """
        string operator = 1; string bucket_name = 2; string object_name = 3""",
    "greenfield.storage.MsgRejectSealObjectResponse": "",
    "greenfield.storage.MsgCancelCreateObject": """
        string operator = 1; string bucket_name = 2; string object_name = 3""",
    "greenfield.storage.MsgCancelCreateObjectResponse": "",
    "greenfield.storage.MsgDeleteObject": """
        string operator = 1; string bucket_name = 2; string object_name = 3""",
    "greenfield.storage.MsgDeleteObjectResponse": "",
    "greenfield.storage.MsgDeleteBucket": "string operator = 1; string bucket_name = 2",
    "greenfield.storage.MsgDeleteBucketResponse": "",
    "greenfield.storage.MsgDiscontinueObject": """
        string operator = 1; string bucket_name = 2; repeated string object_ids = 3;
        string reason = 4""",
    "greenfield.storage.MsgDiscontinueObjectResponse": "",
    "greenfield.storage.MsgDiscontinueBucket": """
        string operator = 1; string bucket_name = 2; string reason = 3""",
    "greenfield.storage.MsgDiscontinueBucketResponse": "",
    "greenfield.storage.SecondarySpSignDoc": """
        string sp_address = 1; string object_id = 2; bytes checksum = 3""",
    "greenfield.storage.MsgPutPolicy": """
        string operator = 1; greenfield.permission.Principal principal = 2;
        string resource = 3; repeated greenfield.permission.Statement statements = 4;
        google.protobuf.Timestamp expiration_time = 7""",
    "greenfield.storage.MsgPutPolicyResponse": "string policy_id = 4",
    "greenfield.storage.MsgDeletePolicy": """
        string operator = 1; greenfield.permission.Principal principal = 2;
        string resource = 3""",
    "greenfield.storage.MsgDeletePolicyResponse": "string policy_id = 4",
    "greenfield.storage.MsgUpdateBucketInfo": """
        string operator = 1; string bucket_name = 2;
        greenfield.common.UInt64Value charged_read_quota = 3; string payment_address = 4;
        int32 visibility = 5""",
    "greenfield.storage.MsgUpdateBucketInfoResponse": "",
    "greenfield.storage.MsgUpdateObjectInfo": """
        string operator = 1; string bucket_name = 2; string object_name = 3;
        int32 visibility = 4""",
    "greenfield.storage.MsgUpdateObjectInfoResponse": "",
    "greenfield.storage.MsgCopyObject": """
        string operator = 1; string src_bucket_name = 2; string dst_bucket_name = 3;
        string src_object_name = 4; string dst_object_name = 5;
        greenfield.storage.Approval dst_primary_sp_approval = 6""",
    "greenfield.storage.MsgCopyObjectResponse": "string object_id = 1",
    "greenfield.storage.MsgCreateGroup": """
        string creator = 1; string group_name = 2; repeated string members = 3""",
    "greenfield.storage.MsgCreateGroupResponse": "string group_id = 1",
    "greenfield.storage.MsgDeleteGroup": "string operator = 1; string group_name = 2",
    "greenfield.storage.MsgDeleteGroupResponse": "",
    "greenfield.storage.MsgUpdateGroupMember": """
        string operator = 1; string group_owner = 2; string group_name = 3;
        repeated string members_to_add = 4; repeated string members_to_delete = 5""",
    "greenfield.storage.MsgUpdateGroupMemberResponse": "",
    "greenfield.storage.MsgLeaveGroup": """
        string member = 1; string group_owner = 2; string group_name = 3""",
    "greenfield.storage.MsgLeaveGroupResponse": "",
    "greenfield.storage.MsgMirrorBucket": "string operator = 1; string id = 2",
    "greenfield.storage.MsgMirrorBucketResponse": "",
    "greenfield.storage.MsgMirrorObject": "string operator = 1; string id = 2",
    "greenfield.storage.MsgMirrorObjectResponse": "",
    "greenfield.storage.MsgMirrorGroup": "string operator = 1; string id = 2",
    "greenfield.storage.MsgMirrorGroupResponse": "",
    # --- storage state and queries (05 §2) ---
    "greenfield.storage.VersionedParams": """
        uint64 max_segment_size = 1; uint32 redundant_data_chunk_num = 2;
        uint32 redundant_parity_chunk_num = 3; uint64 min_charge_size = 4""",
    "greenfield.storage.Params": """
        greenfield.storage.VersionedParams versioned_params = 1; uint64 max_payload_size = 2;
        string mirror_bucket_relayer_fee = 3; string mirror_bucket_ack_relayer_fee = 4;
        string mirror_object_relayer_fee = 5; string mirror_object_ack_relayer_fee = 6;
        string mirror_group_relayer_fee = 7; string mirror_group_ack_relayer_fee = 8;
        uint32 max_buckets_per_account = 9; uint64 discontinue_counting_window = 10;
        uint64 discontinue_object_max = 11; uint64 discontinue_bucket_max = 12;
        int64 discontinue_confirm_period = 13; uint64 discontinue_deletion_max = 14;
        uint64 stale_policy_cleanup_max = 15""",
    "greenfield.storage.SecondarySpObjectsSize": """
        string sp_address = 1; uint64 total_charge_size = 2""",
    "greenfield.storage.BillingInfo": """
        int64 price_time = 1; uint64 total_charge_size = 2;
        repeated greenfield.storage.SecondarySpObjectsSize secondary_sp_objects_size = 3""",
    "greenfield.storage.BucketInfo": """
        string owner = 1; string bucket_name = 2; int32 visibility = 3; string id = 4;
        int32 source_type = 5; int64 create_at = 6; string payment_address = 7;
        string primary_sp_address = 8; uint64 charged_read_quota = 9;
        greenfield.storage.BillingInfo billing_info = 10; int32 bucket_status = 11""",
    "greenfield.storage.ObjectInfo": """
        string owner = 1; string bucket_name = 2; string object_name = 3; string id = 4;
        uint64 payload_size = 5; int32 visibility = 6; string content_type = 7;
        int64 create_at = 8; int32 object_status = 9; int32 redundancy_type = 10;
        int32 source_type = 11; repeated bytes checksums = 12;
        repeated string secondary_sp_addresses = 13""",
    "greenfield.storage.GroupInfo": """
        string owner = 1; string group_name = 2; int32 source_type = 3; string id = 4""",
    "greenfield.storage.QueryParamsRequest": "",
    "greenfield.storage.QueryParamsResponse": "greenfield.storage.Params params = 1",
    "greenfield.storage.QueryHeadBucketRequest": "string bucket_name = 1",
    "greenfield.storage.QueryHeadBucketByIdRequest": "string bucket_id = 1",
    "greenfield.storage.QueryHeadBucketResponse": """
        greenfield.storage.BucketInfo bucket_info = 1""",
    "greenfield.storage.QueryHeadObjectRequest": """
        string bucket_name = 1; string object_name = 2""",
    "greenfield.storage.QueryHeadObjectByIdRequest": "string object_id = 1",
    "greenfield.storage.QueryHeadObjectResponse": """
        greenfield.storage.ObjectInfo object_info = 1""",
    "greenfield.storage.QueryListBucketsRequest": """
        cosmos.base.query.v1beta1.PageRequest pagination = 1""",
    "greenfield.storage.QueryListBucketsResponse": """
        repeated greenfield.storage.BucketInfo bucket_infos = 1;
        cosmos.base.query.v1beta1.PageResponse pagination = 2""",
    "greenfield.storage.QueryListObjectsRequest": """
        cosmos.base.query.v1beta1.PageRequest pagination = 1; string bucket_name = 2""",
    "greenfield.storage.QueryListObjectsByBucketIdRequest": """
        cosmos.base.query.v1beta1.PageRequest pagination = 1; string bucket_id = 2""",
    "greenfield.storage.QueryListObjectsResponse": """
        repeated greenfield.storage.ObjectInfo object_infos = 1;
        cosmos.base.query.v1beta1.PageResponse pagination = 2""",
    "greenfield.storage.QueryVerifyPermissionRequest": """
        string operator = 1; string bucket_name = 2; string object_name = 3;
        int32 action_type = 4""",
    "greenfield.storage.QueryVerifyPermissionResponse": "int32 effect = 1",
    "greenfield.storage.QueryPolicyForAccountRequest": """
        string resource = 1; string principal_address = 2""",
    "greenfield.storage.QueryPolicyForAccountResponse": "greenfield.permission.Policy policy = 1",
    "greenfield.storage.QueryPolicyForGroupRequest": """
        string resource = 1; string principal_group_id = 2""",
    "greenfield.storage.QueryPolicyForGroupResponse": "greenfield.permission.Policy policy = 1",
    "greenfield.storage.QueryPolicyByIdRequest": "string policy_id = 1",
    "greenfield.storage.QueryPolicyByIdResponse": "greenfield.permission.Policy policy = 1",
    "greenfield.storage.QueryHeadGroupRequest": "string group_owner = 1; string group_name = 2",
    "greenfield.storage.QueryHeadGroupResponse": "greenfield.storage.GroupInfo group_info = 1",
    "greenfield.storage.QueryListGroupRequest": """
        cosmos.base.query.v1beta1.PageRequest pagination = 1; string group_owner = 2""",
    "greenfield.storage.QueryListGroupResponse": """
        cosmos.base.query.v1beta1.PageResponse pagination = 1;
        repeated greenfield.storage.GroupInfo group_infos = 2""",
    "greenfield.storage.QueryHeadGroupMemberRequest": """
        string member = 1; string group_owner = 2; string group_name = 3""",
    "greenfield.storage.QueryHeadGroupMemberResponse": """
        greenfield.permission.GroupMember group_member = 1""",
    # --- storage providers (05 §3) ---
    "greenfield.sp.Params": """
        string deposit_denom = 1; string min_deposit = 2;
        string secondary_sp_store_price_ratio = 3""",
    "greenfield.sp.QueryParamsRequest": "",
    "greenfield.sp.QueryParamsResponse": "greenfield.sp.Params params = 1",
    "greenfield.sp.Description": """
        string moniker = 1; string identity = 2; string website = 3;
        string security_contact = 4; string details = 5""",
    "greenfield.sp.MsgEditStorageProvider": """
        string sp_address = 1; string endpoint = 2; greenfield.sp.Description description = 3;
        string seal_address = 4; string approval_address = 5; string gc_address = 6""",
    "greenfield.sp.MsgEditStorageProviderResponse": "",
    "greenfield.sp.StorageProvider": """
        string operator_address = 1; string funding_address = 2; string seal_address = 3;
        string approval_address = 4; string gc_address = 5; string total_deposit = 6;
        int32 status = 7; string endpoint = 8; greenfield.sp.Description description = 9""",
    "greenfield.sp.QueryStorageProvidersRequest": """
        cosmos.base.query.v1beta1.PageRequest pagination = 1""",
    "greenfield.sp.QueryStorageProvidersResponse": """
        repeated greenfield.sp.StorageProvider sps = 1;
        cosmos.base.query.v1beta1.PageResponse pagination = 2""",
    "greenfield.sp.QueryStorageProviderRequest": "string spAddress = 1",
    "greenfield.sp.QueryStorageProviderResponse": """
        greenfield.sp.StorageProvider storageProvider = 1""",
    "greenfield.sp.SpStoragePrice": """
        string sp_address = 1; int64 update_time_sec = 2; string read_price = 3;
        uint64 free_read_quota = 4; string store_price = 5""",
    "greenfield.sp.SecondarySpStorePrice": "int64 update_time_sec = 1; string store_price = 2",
    "greenfield.sp.QueryGetSpStoragePriceByTimeRequest": "string sp_addr = 1; int64 timestamp = 2",
    "greenfield.sp.QueryGetSpStoragePriceByTimeResponse": """
        greenfield.sp.SpStoragePrice sp_storage_price = 1""",
    "greenfield.sp.QueryGetSecondarySpStorePriceByTimeRequest": "int64 timestamp = 1",
    "greenfield.sp.QueryGetSecondarySpStorePriceByTimeResponse": """
        greenfield.sp.SecondarySpStorePrice secondary_sp_store_price = 1""",
    # --- payment (05 §5) ---
    "greenfield.payment.MsgCreatePaymentAccount": "string creator = 1",
    "greenfield.payment.MsgCreatePaymentAccountResponse": "",
    "greenfield.payment.MsgDeposit": "string creator = 1; string to = 2; string amount = 3",
    "greenfield.payment.MsgDepositResponse": "",
    "greenfield.payment.MsgWithdraw": "string creator = 1; string from = 2; string amount = 3",
    "greenfield.payment.MsgWithdrawResponse": "",
    "greenfield.payment.MsgDisableRefund": "string owner = 1; string addr = 2",
    "greenfield.payment.MsgDisableRefundResponse": "",
    "greenfield.payment.Params": """
        uint64 reserve_time = 1; uint64 payment_account_count_limit = 2;
        uint64 forced_settle_time = 3; uint64 max_auto_force_settle_num = 4;
        string fee_denom = 5; string validator_tax_rate = 6""",
    "greenfield.payment.PaymentAccount": "string addr = 1; string owner = 2; bool refundable = 3",
    "greenfield.payment.PaymentAccountCount": "string owner = 1; uint64 count = 2",
    "greenfield.payment.OutFlow": "string to_address = 1; string rate = 2",
    "greenfield.payment.StreamRecord": """
        string account = 1; int64 crud_timestamp = 2; string netflow_rate = 3;
        string static_balance = 4; string buffer_balance = 5; string lock_balance = 6;
        int32 status = 7; int64 settle_timestamp = 8;
        repeated greenfield.payment.OutFlow out_flows = 9""",
    "greenfield.payment.QueryGetStreamRecordRequest": "string account = 1",
    "greenfield.payment.QueryGetStreamRecordResponse": """
        greenfield.payment.StreamRecord stream_record = 1""",
    "greenfield.payment.QueryParamsRequest": "",
    "greenfield.payment.QueryParamsResponse": "greenfield.payment.Params params = 1",
    "greenfield.payment.QueryGetPaymentAccountRequest": "string addr = 1",
    "greenfield.payment.QueryGetPaymentAccountResponse": """
        greenfield.payment.PaymentAccount payment_account = 1""",
    "greenfield.payment.QueryGetPaymentAccountCountRequest": "string owner = 1",
    "greenfield.payment.QueryGetPaymentAccountCountResponse": """
        greenfield.payment.PaymentAccountCount payment_account_count = 1""",
    "greenfield.payment.QueryGetPaymentAccountsByOwnerRequest": "string owner = 1",
    "greenfield.payment.QueryGetPaymentAccountsByOwnerResponse": """
        repeated string paymentAccounts = 1""",
    "greenfield.payment.QueryDynamicBalanceRequest": "string account = 1",
    "greenfield.payment.QueryDynamicBalanceResponse": """
        string dynamic_balance = 1; greenfield.payment.StreamRecord stream_record = 2;
        int64 current_timestamp = 3; string bank_balance = 4; string available_balance = 5;
        string locked_fee = 6; string change_rate = 7""",
    # --- P2P (03 §3); field 3 of the request is not used ---
    "pkg.p2p.types.Ping": "string sp_operator_address = 1; bytes signature = 2",
    "pkg.p2p.types.Node": "string node_id = 1; repeated string multi_addr = 2",
    "pkg.p2p.types.Pong": """
        repeated pkg.p2p.types.Node nodes = 1; string sp_operator_address = 2;
        bytes signature = 3""",
    "pkg.p2p.types.GetApprovalRequest": """
        greenfield.storage.ObjectInfo object_info = 1; string sp_operator_address = 2;
        bytes signature = 4""",
    "pkg.p2p.types.GetApprovalResponse": """
        greenfield.storage.ObjectInfo object_info = 1; string sp_operator_address = 2;
        int64 expired_time = 3; string refused_reason = 4; bytes signature = 5""",
}

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "bool": _Field.TYPE_BOOL,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
}


def _add_field(message: descriptor_pb2.DescriptorProto, declaration: str) -> None:
    """``[repeated] type name = number``."""
    left, number = declaration.split("=")
    *label, type_name, name = left.split()
    field = message.field.add(name=name, number=int(number))
    field.label = _Field.LABEL_REPEATED if label else _Field.LABEL_OPTIONAL
    if type_name in _SCALARS:
        field.type = _SCALARS[type_name]
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = "." + type_name


def _build_classes() -> dict[str, Any]:
    # One file per package, each depending on all before it: a package may use the messages of
    # the packages that appear above its own first message in the schema.
    files: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    for full_name, declarations in _SCHEMA.items():
        package, _, name = full_name.rpartition(".")
        if package not in files:
            files[package] = descriptor_pb2.FileDescriptorProto(
                name=f"{package}.proto",
                package=package,
                syntax="proto3",
                dependency=[file.name for file in files.values()],
            )
        message = files[package].message_type.add(name=name)
        for declaration in filter(None, (part.strip() for part in declarations.split(";"))):
            _add_field(message, declaration)
    pool = descriptor_pool.DescriptorPool()
    for file in files.values():
        pool.AddSerializedFile(file.SerializeToString())
    return {
        full_name: message_factory.GetMessageClass(pool.FindMessageTypeByName(full_name))
        for full_name in _SCHEMA
    }


_CLASSES = _build_classes()


def message_class(full_name: str) -> Any:
    """The class of e.g. ``greenfield.storage.ObjectInfo``. Raises KeyError for an unknown name."""
    return _CLASSES[full_name]


def _package(package: str) -> Any:
    names = {
        full_name.rpartition(".")[2]: cls
        for full_name, cls in _CLASSES.items()
        if full_name.rpartition(".")[0] == package
    }
    return SimpleNamespace(**names)


# One name per package, so that ``wire.sp.Params`` and ``wire.storage.Params`` stay apart.
protobuf: Any = _package("google.protobuf")
base: Any = _package("cosmos.base.v1beta1")
ethsecp256k1: Any = _package("cosmos.crypto.eth.ethsecp256k1")
tx: Any = _package("cosmos.tx.v1beta1")
abci: Any = _package("cosmos.base.abci.v1beta1")
tendermint_abci: Any = _package("tendermint.abci")
tendermint_types: Any = _package("tendermint.types")
tendermint_service: Any = _package("cosmos.base.tendermint.v1beta1")
auth: Any = _package("cosmos.auth.v1beta1")
bank: Any = _package("cosmos.bank.v1beta1")
query: Any = _package("cosmos.base.query.v1beta1")
tendermint_p2p: Any = _package("tendermint.p2p")
common: Any = _package("greenfield.common")
storage: Any = _package("greenfield.storage")
permission: Any = _package("greenfield.permission")
sp: Any = _package("greenfield.sp")
payment: Any = _package("greenfield.payment")
p2p: Any = _package("pkg.p2p.types")

PUBLIC_KEY_TYPE_URL = "/cosmos.crypto.eth.ethsecp256k1.PubKey"
BASE_ACCOUNT_TYPE_URL = "/cosmos.auth.v1beta1.BaseAccount"


def decode(cls: Any, data: bytes) -> Any:
    """The message of class ``cls`` in ``data``; unknown fields are kept, as protobuf does.

    Raises:
        InvalidInput: the bytes are not such a message.
    """
    try:
        return cls.FromString(data)
    except DecodeError as error:
        raise InvalidInput(f"not a protobuf {cls.DESCRIPTOR.full_name}: {error}") from error

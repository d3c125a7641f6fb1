/* SPDX-License-Identifier: Apache-2.0 */
/* Each row is one request; codes are those of Apache Kafka 4.3.1, which was asked. */
#include "stories.h"

#define NO_SUCH "no-such-topic"
#define TEXT(f, t)                                                                                 \
    {                                                                                              \
        .field = (f), .text = (t)                                                                  \
    }
#define NUMBER(f, n)                                                                               \
    {                                                                                              \
        .field = (f), .number = (n)                                                                \
    }
#define NONE(f)                                                                                    \
    {                                                                                              \
        .field = (f), .kind = VALUE_NONE                                                           \
    }
#define NIL(f)                                                                                     \
    {                                                                                              \
        .field = (f), .kind = VALUE_NULL                                                           \
    }
#define END                                                                                        \
    {                                                                                              \
        .field = NULL                                                                              \
    }
#define ALL 0, LAST_VERSION

const struct value common_values[] = {
    TEXT("name", NO_SUCH),
    TEXT("topic", NO_SUCH),
    TEXT("topic_name", NO_SUCH),
    TEXT("topic_names", NO_SUCH),
    NUMBER("topic_id", 77),
    TEXT("group_id", "no-such-group"),
    TEXT("groups", "no-such-group"),
    TEXT("group_ids", "no-such-group"),
    TEXT("group_names", "no-such-group"),
    TEXT("key", "no-such-group"),
    TEXT("coordinator_keys", "no-such-group"),
    TEXT("member_id", "no-such-member"),
    NIL("group_instance_id"),
    NIL("instance_id"),
    TEXT("transactional_id", "no-such-txn"),
    TEXT("transactional_ids", "no-such-txn"),
    NUMBER("producer_id", 4711),
    NUMBER("producer_epoch", 3),
    NUMBER("generation_id", 5),
    NUMBER("generation_or_epoch", 5),
    NUMBER("member_epoch", 5),
    NUMBER("acks", -1),
    NUMBER("timeout_ms", 5000),
    NUMBER("max_wait_ms", 50),
    NUMBER("min_bytes", 1),
    NUMBER("max_bytes", 1 << 20),
    NUMBER("partition_max_bytes", 1 << 20),
    NUMBER("replica_id", -1),
    NUMBER("session_epoch", -1),
    NUMBER("current_leader_epoch", -1),
    NUMBER("last_fetched_epoch", -1),
    NUMBER("log_start_offset", -1),
    NONE("forgotten_topics"),
    NIL("rack_id"),
    NUMBER("session_timeout_ms", 10000),
    NUMBER("rebalance_timeout_ms", 10000),
    TEXT("protocol_type", "consumer"),
    TEXT("protocol_name", "range"),
    NUMBER("transaction_timeout_ms", 60000),
    NUMBER("num_partitions", 1),
    NUMBER("replication_factor", -1),
    NUMBER("type", 2),
    NUMBER("endpoint_type", 1),
    NUMBER("broker_id", 99),
    NUMBER("response_partition_limit", 10),
    NUMBER("timestamp", -1),
    NUMBER("leader_epoch", -1),
    NUMBER("count", 9),
    TEXT("feature", "no.such.version"),
    NUMBER("max_version_level", 1),
    NUMBER("upgrade_type", 1),
    NUMBER("duration_filter", -1),
    TEXT("path", "/no/such/dir"),
    END,
};

enum story_node story_node(int16_t key)
{
    switch (key) {
    case 8:
    case 9:
    case 11:
    case 12:
    case 13:
    case 14:
    case 15:
    case 28:
    case 42:
    case 47:
    case 68:
    case 69:
        return AT_COORDINATOR_OF_GROUP;
    case 22:
    case 24:
    case 25:
    case 26:
    case 65:
        return AT_COORDINATOR_OF_TXN;
    case 0:
    case 1:
    case 2:
    case 21:
    case 23:
    case 27:
    case 61:
        return AT_LEADER;
    default:
        return AT_ANY;
    }
}

/* The requests that are spoilt must not make what the stories take for unknown. */
const struct value spoilt_values[] = {
    TEXT("transactional_id", "spoilt-txn"),
    END,
};

/* clang-format off */
const struct story stories[] = {
    /* Produce */
    {0, ALL, "unknown topic", "3", {NIL("transactional_id"), END}, 0},
    {0, ALL, "unknown partition", "3", {NIL("transactional_id"), TEXT("name", "payments"), NUMBER("index", 77), END}, 0},
    {0, ALL, "partition below 0", "3", {NIL("transactional_id"), TEXT("name", "payments"), NUMBER("index", -1), END}, 0},
    {0, ALL, "no batch", "87", {NIL("transactional_id"), TEXT("name", "payments"), END}, 0},
    {0, ALL, "a batch of zeros", "87|2", {NIL("transactional_id"), TEXT("name", "payments"), TEXT("records", "not a batch, but some bytes that are long enough for a header of one"), END}, 0},
    {0, ALL, "nothing", "", {NIL("transactional_id"), NONE("topics"), END}, 0},
    /* Fetch */
    {1, 4, 6, "unknown topic", "3", {END}, 0},
    {1, 7, 12, "unknown topic", "0 3", {END}, 0},
    {1, 13, LAST_VERSION, "unknown topic id", "0 100", {END}, 0},
    {1, 4, 6, "unknown partition", "3", {TEXT("topic", "payments"), NUMBER("partition", 77), END}, 0},
    {1, 7, 12, "unknown partition", "0 3", {TEXT("topic", "payments"), NUMBER("partition", 77), END}, 0},
    {1, 7, 12, "offset below 0", "0 1", {TEXT("topic", "payments"), NUMBER("fetch_offset", -7), END}, 0},
    {1, 7, 12, "offset behind the end", "0 1", {TEXT("topic", "payments"), NUMBER("fetch_offset", 1LL << 50), END}, 0},
    {1, 9, 12, "an epoch to come", "0 75", {TEXT("topic", "payments"), NUMBER("current_leader_epoch", 1 << 30), END}, 0},
    {1, 7, LAST_VERSION, "unknown session", "70", {NUMBER("session_id", 7), NUMBER("session_epoch", 3), END}, 0},
    /* ListOffsets */
    {2, ALL, "unknown topic", "3", {END}, 0},
    {2, ALL, "unknown partition", "3", {TEXT("name", "payments"), NUMBER("partition", 77), END}, 0},
    {2, ALL, "twice", "42", {TEXT("name", "payments"), END}, 2},
    {2, 4, LAST_VERSION, "an epoch to come", "75", {TEXT("name", "payments"), NUMBER("current_leader_epoch", 1 << 30), END}, 0},
    /* Metadata */
    {3, 0, 12, "unknown topic", "3", {NUMBER("topic_id", 0), END}, 0},
    {3, 13, LAST_VERSION, "unknown topic", "3 0", {NUMBER("topic_id", 0), END}, 0},
    {3, 0, 12, "a name that is not allowed", "17", {NUMBER("topic_id", 0), TEXT("name", "n*o"), END}, 0},
    {3, 12, 12, "unknown topic id", "100", {NIL("name"), END}, 0},
    {3, 13, LAST_VERSION, "unknown topic id", "100 0", {NIL("name"), END}, 0},
    {3, 10, 11, "a topic id before its time", "42", {NIL("name"), END}, 0},
    /* OffsetCommit */
    {8, 0, 9, "unknown topic", "3", {END}, 0},
    {8, 10, LAST_VERSION, "unknown topic id", "100", {END}, 0},
    {8, 0, 8, "unknown group", "22", {TEXT("name", "payments"), END}, 0},
    {8, 9, 9, "unknown group", "69", {TEXT("name", "payments"), END}, 0},
    {8, 0, 9, "unknown partition", "3", {TEXT("name", "payments"), NUMBER("partition", 77), END}, 0},
    /* OffsetFetch */
    {9, 0, 1, "unknown group", "0", {END}, 0},
    {9, 2, 9, "unknown group", "0 0", {END}, 0},
    {9, 10, LAST_VERSION, "unknown topic id", "100 0", {END}, 0},
    /* FindCoordinator */
    {10, 1, LAST_VERSION, "unknown kind", "42", {NUMBER("key_type", 9), END}, 0},
    {10, 1, 5, "share groups before their time", "42", {NUMBER("key_type", 2), END}, 0},
    {10, 0, 3, "a group that nobody has", "0", {END}, 0},
    {10, 4, LAST_VERSION, "a group that nobody has", "0", {END}, 0},
    /* JoinGroup, Heartbeat, LeaveGroup, SyncGroup */
    {11, ALL, "unknown member", "25", {END}, 0},
    {11, ALL, "no group id", "24", {TEXT("group_id", ""), END}, 0},
    {11, ALL, "session too short", "26", {NUMBER("session_timeout_ms", 1), END}, 0},
    {11, ALL, "session below 0", "26", {NUMBER("session_timeout_ms", -1), END}, 0},
    {11, ALL, "no protocols", "23", {TEXT("group_id", "no-protocols"), TEXT("member_id", ""), NONE("protocols"), END}, 0},
    {12, ALL, "unknown group", "25", {END}, 0},
    {12, ALL, "no group id", "24", {TEXT("group_id", ""), END}, 0},
    {13, 0, 2, "unknown group", "25", {END}, 0},
    {13, 3, LAST_VERSION, "unknown group", "0 25", {END}, 0},
    {13, ALL, "no group id", "24", {TEXT("group_id", ""), END}, 0},
    {14, ALL, "unknown group", "25", {END}, 0},
    {14, ALL, "no group id", "24", {TEXT("group_id", ""), END}, 0},
    {14, 5, LAST_VERSION, "no protocol", "23", {NIL("protocol_type"), NIL("protocol_name"), END}, 0},
    /* DescribeGroups, ListGroups */
    {15, 0, 5, "unknown group", "0", {END}, 0},
    {15, 6, LAST_VERSION, "unknown group", "69", {END}, 0},
    {16, ALL, "unknown states and types", "0", {END}, 0},
    /* ApiVersions */
    {18, ALL, "a client of no name", "0", {TEXT("client_software_version", "1.0"), END}, 0},
    /* CreateTopics */
    {19, ALL, "a name that is not allowed", "17", {TEXT("name", "n*o"), NONE("assignments"), NONE("configs"), END}, 0},
    {19, ALL, "twice", "42", {TEXT("name", "hostile"), NONE("assignments"), NONE("configs"), END}, 2},
    {19, ALL, "no partitions", "37", {TEXT("name", "hostile"), NUMBER("num_partitions", 0), NONE("assignments"), NONE("configs"), END}, 0},
    {19, ALL, "too many partitions", "44", {TEXT("name", "hostile"), NUMBER("num_partitions", 0x7fffffff), NONE("assignments"), NONE("configs"), END}, 0},
    {19, ALL, "no copies", "38", {TEXT("name", "hostile"), NUMBER("replication_factor", 0), NONE("assignments"), NONE("configs"), END}, 0},
    {19, ALL, "too many copies", "38", {TEXT("name", "hostile"), NUMBER("replication_factor", 0x7fff), NONE("assignments"), NONE("configs"), END}, 0},
    {19, ALL, "counted and assigned", "42", {TEXT("name", "hostile"), NONE("configs"), END}, 0},
    {19, ALL, "assigned to nobody", "39", {TEXT("name", "hostile"), NONE("configs"), NONE("broker_ids"), NUMBER("num_partitions", -1), END}, 0},
    {19, ALL, "there already", "36", {TEXT("name", "payments"), NONE("assignments"), NONE("configs"), END}, 0},
    /* DeleteTopics */
    {20, 0, 5, "unknown topic", "3", {END}, 0},
    {20, 6, LAST_VERSION, "unknown topic", "3", {NUMBER("topic_id", 0), END}, 0},
    {20, 6, LAST_VERSION, "unknown topic id", "100", {NIL("name"), END}, 0},
    {20, 6, LAST_VERSION, "name and id", "42", {END}, 0},
    {20, 6, LAST_VERSION, "neither name nor id", "42", {NIL("name"), NUMBER("topic_id", 0), END}, 0},
    {20, 0, 5, "twice", "42", {END}, 2},
    {20, 6, LAST_VERSION, "twice", "42", {NUMBER("topic_id", 0), END}, 2},
    {20, 6, LAST_VERSION, "an id twice", "42", {NIL("name"), END}, 2},
    /* DeleteRecords */
    {21, ALL, "unknown topic", "3", {END}, 0},
    {21, ALL, "unknown partition", "3", {TEXT("name", "payments"), NUMBER("partition", 77), END}, 0},
    {21, ALL, "offset below -1", "1", {TEXT("name", "payments"), NUMBER("offset", -7), END}, 0},
    {21, ALL, "offset behind the end", "1", {TEXT("name", "payments"), NUMBER("offset", 1LL << 50), END}, 0},
    /* InitProducerId */
    {22, ALL, "an empty transactional id", "42", {TEXT("transactional_id", ""), NUMBER("producer_id", -1), NUMBER("producer_epoch", -1), END}, 0},
    {22, ALL, "time-out of 0", "50", {NUMBER("transaction_timeout_ms", 0), NUMBER("producer_id", -1), NUMBER("producer_epoch", -1), END}, 0},
    {22, ALL, "time-out of 24 days", "50", {NUMBER("transaction_timeout_ms", 0x7fffffff), NUMBER("producer_id", -1), NUMBER("producer_epoch", -1), END}, 0},
    {22, 3, LAST_VERSION, "an epoch of no producer", "42", {NUMBER("producer_id", -1), NUMBER("producer_epoch", 3), END}, 0},
    {22, 3, LAST_VERSION, "a producer of no epoch", "42", {NUMBER("producer_epoch", -1), END}, 0},
    /* OffsetForLeaderEpoch */
    {23, ALL, "unknown topic", "3", {END}, 0},
    {23, ALL, "unknown partition", "3", {TEXT("topic", "payments"), NUMBER("partition", 77), END}, 0},
    {23, ALL, "an epoch to come", "75", {TEXT("topic", "payments"), NUMBER("current_leader_epoch", 1 << 30), END}, 0},
    /* AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, WriteTxnMarkers, TxnOffsetCommit */
    {24, 0, 3, "unknown topic", "3", {END}, 0},
    {24, 0, 3, "unknown transactional id", "49", {TEXT("name", "payments"), END}, 0},
    {24, 4, LAST_VERSION, "unknown topic", "0 3", {END}, 0},
    {24, 4, LAST_VERSION, "unknown transactional id", "0 49", {TEXT("name", "payments"), END}, 0},
    {25, ALL, "unknown transactional id", "49", {END}, 0},
    {26, ALL, "unknown transactional id", "49", {END}, 0},
    {27, ALL, "unknown topic", "3", {END}, 0},
    {28, ALL, "unknown topic", "3", {END}, 0},
    {28, ALL, "unknown transactional id", "49", {TEXT("name", "payments"), TEXT("member_id", ""), NUMBER("generation_id", -1), END}, 0},
    /* DescribeConfigs, AlterConfigs, IncrementalAlterConfigs */
    {32, ALL, "unknown topic", "3", {NIL("keys"), END}, 0},
    {32, ALL, "a name that is not allowed", "17", {TEXT("name", "n*o"), NIL("keys"), END}, 0},
    {32, ALL, "unknown kind", "42", {NUMBER("type", 99), NIL("keys"), END}, 0},
    {32, ALL, "a broker that is not this one", "42", {NUMBER("type", 4), TEXT("name", "99"), NIL("keys"), END}, 0},
    {32, ALL, "a broker of no number", "42", {NUMBER("type", 4), TEXT("name", "abc"), NIL("keys"), END}, 0},
    {33, ALL, "unknown topic", "3", {NONE("configs"), END}, 0},
    {33, ALL, "unknown kind", "42", {NUMBER("type", 99), NONE("configs"), END}, 0},
    {33, ALL, "twice", "42 42", {NONE("configs"), END}, 2},
    {33, ALL, "null", "42", {TEXT("name", "payments"), NIL("value"), END}, 0},
    {44, ALL, "unknown topic", "3", {NONE("configs"), END}, 0},
    {44, ALL, "unknown kind", "42", {NUMBER("type", 99), NONE("configs"), END}, 0},
    {44, ALL, "unknown operation", "42", {TEXT("name", "payments"), NUMBER("operation", 9), END}, 0},
    {44, ALL, "twice", "42 42", {NONE("configs"), END}, 2},
    {44, ALL, "null", "42", {TEXT("name", "payments"), NIL("value"), END}, 0},
    /* AlterReplicaLogDirs, DescribeLogDirs */
    {34, ALL, "unknown directory", "57", {END}, 0},
    {35, 0, 2, "unknown topic", "0", {END}, 0},
    {35, 3, LAST_VERSION, "unknown topic", "0 0", {END}, 0},
    /* CreatePartitions */
    {37, ALL, "unknown topic", "3", {NIL("assignments"), END}, 0},
    {37, ALL, "fewer", "37", {TEXT("name", "payments"), NUMBER("count", 1), NIL("assignments"), END}, 0},
    {37, ALL, "below 0", "37", {TEXT("name", "payments"), NUMBER("count", -1), NIL("assignments"), END}, 0},
    {37, ALL, "too many", "37", {TEXT("name", "payments"), NUMBER("count", 0x7fffffff), NIL("assignments"), END}, 0},
    {37, ALL, "twice", "42", {NIL("assignments"), END}, 2},
    /* DeleteGroups, OffsetDelete */
    {42, ALL, "unknown group", "69", {END}, 0},
    {47, ALL, "unknown topic, unknown group", "69", {END}, 0},
    {47, ALL, "unknown group", "69", {TEXT("name", "payments"), END}, 0},
    {47, ALL, "no group id", "24", {TEXT("name", "payments"), TEXT("group_id", ""), END}, 0},
    /* ElectLeaders */
    {43, 0, 0, "unknown topic", "3", {END}, 0},
    {43, 1, LAST_VERSION, "unknown topic", "0 3", {END}, 0},
    {43, 1, LAST_VERSION, "unknown kind", "42 42", {NUMBER("election_type", 7), END}, 0},
    /* AlterPartitionReassignments, ListPartitionReassignments */
    {45, ALL, "unknown topic", "0 3", {END}, 0},
    {45, ALL, "to nobody", "0 39", {TEXT("name", "payments"), NONE("replicas"), END}, 0},
    {45, ALL, "to a broker that is not there", "0 39", {TEXT("name", "payments"), NUMBER("replicas", 99), END}, 0},
    {45, ALL, "given up before it began", "0 85", {TEXT("name", "payments"), NIL("replicas"), END}, 0},
    {46, ALL, "unknown topic", "0", {END}, 0},
    /* DescribeClientQuotas, AlterClientQuotas */
    {48, ALL, "an entity of no kind", "35", {TEXT("entity_type", "planet"), TEXT("match", "mars"), END}, 0},
    {48, ALL, "an empty kind", "42", {TEXT("entity_type", ""), TEXT("match", "mars"), END}, 0},
    {48, ALL, "unknown match", "42", {TEXT("entity_type", "client-id"), NUMBER("match_type", 9), END}, 0},
    {48, ALL, "a kind twice", "42", {TEXT("entity_type", "client-id"), TEXT("match", "mars"), END}, 2},
    {49, ALL, "an entity of no kind", "42", {TEXT("type", "planet"), TEXT("key", "producer_byte_rate"), END}, 0},
    {49, ALL, "of nothing", "42", {TEXT("type", "client-id"), TEXT("name", "x"), TEXT("key", "bytes"), END}, 0},
    {49, ALL, "of nobody", "42", {NONE("entity"), TEXT("key", "producer_byte_rate"), END}, 0},
    {49, ALL, "a rate of 0", "42", {TEXT("type", "client-id"), TEXT("name", "x"), TEXT("key", "producer_byte_rate"), END}, 0},
    {49, ALL, "an empty name", "42", {TEXT("type", "client-id"), TEXT("name", ""), TEXT("key", "producer_byte_rate"), NUMBER("remove", 1), END}, 0},
    /* DescribeQuorum, UpdateFeatures, DescribeCluster */
    {55, ALL, "unknown topic", "0 3", {END}, 0},
    {57, ALL, "unknown feature", "95", {END}, 0},
    {60, 1, LAST_VERSION, "the endpoint of controllers", "114", {NUMBER("endpoint_type", 2), END}, 0},
    {60, 1, LAST_VERSION, "unknown endpoint", "115", {NUMBER("endpoint_type", 9), END}, 0},
    {60, ALL, "all of it", "0", {END}, 0},
    /* DescribeProducers, UnregisterBroker, DescribeTransactions, ListTransactions */
    {61, ALL, "unknown topic", "3", {END}, 0},
    {61, ALL, "unknown partition", "3", {TEXT("name", "payments"), NUMBER("partition_indexes", 77), END}, 0},
    {64, ALL, "unknown broker", "102", {END}, 0},
    {65, ALL, "unknown transactional id", "105", {END}, 0},
    {65, ALL, "an empty transactional id", "42", {TEXT("transactional_ids", ""), END}, 0},
    {66, ALL, "unknown state", "0", {END}, 0},
    /* ConsumerGroupHeartbeat, ConsumerGroupDescribe */
    {68, ALL, "unknown group", "69", {NIL("subscribed_topic_regex"), NIL("server_assignor"), NONE("topic_partitions"), END}, 0},
    {68, ALL, "no group id", "42", {TEXT("group_id", ""), NIL("subscribed_topic_regex"), NIL("server_assignor"), END}, 0},
    {68, ALL, "an epoch below -2", "42", {NUMBER("member_epoch", -3), NIL("subscribed_topic_regex"), NIL("server_assignor"), END}, 0},
    {68, ALL, "an unknown assignor", "112", {NUMBER("member_epoch", 0), TEXT("server_assignor", "random"), NIL("subscribed_topic_regex"), NONE("topic_partitions"), END}, 0},
    {69, ALL, "unknown group", "69", {END}, 0},
    {69, ALL, "no group id", "24", {TEXT("group_ids", ""), END}, 0},
    /* ListConfigResources, DescribeTopicPartitions */
    {74, 0, 0, "all of them", "0", {END}, 0},
    {74, 1, LAST_VERSION, "unknown kind", "35", {NUMBER("types", 99), END}, 0},
    {75, ALL, "unknown topic", "3", {NIL("cursor"), END}, 0},
    {75, ALL, "a name that is not allowed", "17", {TEXT("name", "n*o"), NIL("cursor"), END}, 0},
    {75, ALL, "a cursor below 0", "42", {NUMBER("partition", -1), END}, 0},
    {0, 0, 0, NULL, NULL, {END}, 0},
};
/* clang-format on */

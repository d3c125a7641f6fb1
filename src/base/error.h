/* SPDX-License-Identifier: Apache-2.0 */
/* The world's faults: one table gives number, name, sentence and Kafka error code.
 *
 * Functions return 0 or one of these negative numbers. No other file translates to Kafka codes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* X(number, name, Kafka code, sentence) */
#define TERN_ERRORS(X)                                                                             \
    X(1, EIO, 56, "reading or writing the disk failed")                                            \
    X(2, ENOSPC, 56, "the disk is full or below its reserve")                                      \
    X(3, ENOENT, 3, "there is no such thing")                                                      \
    X(4, EEXIST, 36, "it exists already")                                                          \
    X(5, EDAMAGED, 56, "stored bytes are damaged")                                                 \
    X(6, EFORMAT, 35, "the format version is not known to this build")                             \
    X(7, ETOOBIG, 10, "it is larger than the limit")                                               \
    X(8, EMALFORMED, 42, "the bytes do not follow the format")                                     \
    X(9, ENOTLEADER, 6, "this node does not lead the partition")                                   \
    X(10, ENOTCONTROLLER, 41, "this node is not the controller")                                   \
    X(11, ENOQUORUM, 19, "too few regions can acknowledge")                                        \
    X(12, ETIMEDOUT, 7, "it took longer than allowed")                                             \
    X(13, ECANCELED, -1, "the node is stopping")                                                   \
    X(14, EBUSY, 7, "too much is waiting already")                                                 \
    X(15, EREFUSED, 42, "the request is not acceptable in the present state")                      \
    X(16, EAMNESIA, 56, "this disk has forgotten what it promised")                                \
    X(17, EUNSUPPORTED, 35, "this is not supported")                                               \
    X(18, ECORRUPTBATCH, 2, "the record batch has a wrong length or checksum")                     \
    X(19, EOUTOFORDER, 45, "the producer's sequence number is out of order")                       \
    X(20, EPRODUCERFENCED, 47, "the producer's epoch is an old one")                               \
    X(21, EOUTOFRANGE, 1, "the offset is not in the log")                                          \
    X(22, EFENCEDEPOCH, 74, "the leader epoch is an old one")                                      \
    X(23, EUNKNOWNEPOCH, 75, "the leader epoch is newer than this node knows")                     \
    X(24, ENOTAVAILABLE, 78, "the offset is not known to be committed yet")                        \
    X(25, ELEADERUNKNOWN, 5, "the partition has no leader at the moment")                          \
    X(26, EINVALIDRECORD, 87, "the record batch breaks a rule")                                    \
    X(27, EINVALIDTOPIC, 17, "the topic name is not allowed")                                      \
    X(28, EINVALIDPARTITIONS, 37, "the number of partitions is not allowed")                       \
    X(29, EINVALIDREPLICATION, 38, "the replication factor cannot be satisfied")                   \
    X(30, EPOLICY, 44, "the policy cannot be satisfied")                                           \
    X(31, EINVALIDCONFIG, 40, "the configuration is not valid")                                    \
    X(32, EACKS, 21, "required acks must be 0, 1 or -1")                                           \
    X(33, ETIMESTAMP, 32, "the timestamp is out of range")                                         \
    X(34, ELOCKED, 56, "another process uses this directory")                                      \
    X(35, EIDENTITY, 31, "the peer is not who it should be")                                       \
    X(36, EUNKNOWNTOPICID, 100, "there is no topic with this id")                                  \
    X(37, EAPPENDEDUNKNOWN, 20, "the records were appended but may not be committed")              \
    X(38, ECOMPRESSION, 76, "this version of the request cannot carry that compression")           \
    X(39, ELOADING, 14, "the coordinator is reading its log")                                      \
    X(40, ENOCOORDINATOR, 15, "there is no coordinator at the moment")                             \
    X(41, ENOTCOORDINATOR, 16, "this node does not coordinate the group")                          \
    X(42, EILLEGALGENERATION, 22, "the generation of the group is another one")                    \
    X(43, EINCONSISTENTPROTOCOL, 23, "the members of the group have no protocol in common")        \
    X(44, EINVALIDGROUP, 24, "the group id is not allowed")                                        \
    X(45, EUNKNOWNMEMBER, 25, "the group has no such member")                                      \
    X(46, ESESSIONTIMEOUT, 26, "the session time-out is not within the bounds")                    \
    X(47, EREBALANCE, 27, "the group rebalances")                                                  \
    X(48, EMETADATATOOLARGE, 12, "the metadata of the offset is too long")                         \
    X(49, ENONEMPTYGROUP, 68, "the group has members")                                             \
    X(50, EGROUPNOTFOUND, 69, "there is no such group")                                            \
    X(51, EMEMBERIDREQUIRED, 79, "join again with the member id that was given")                   \
    X(52, EGROUPFULL, 81, "the group has reached its greatest size")                               \
    X(53, EFENCEDINSTANCE, 82, "another member has taken this group.instance.id")                  \
    X(54, EGROUPSUBSCRIBED, 86, "the group subscribes to this topic")                              \
    X(55, ETXNSTATE, 48, "the transaction is not in the state for that")                           \
    X(56, EPRODUCERMAPPING, 49, "the producer id is not the one of this transactional id")         \
    X(57, ETXNTIMEOUT, 50, "the transaction time-out is not within the bounds")                    \
    X(58, ECONCURRENTTXN, 51, "the transaction is being changed: try again")                       \
    X(59, ETXNCOORDINATORFENCED, 52, "the transaction coordinator is an old one")                  \
    X(60, EUNSTABLEOFFSET, 88, "a transaction that commits this offset is open")                   \
    X(61, ETXNFENCED, 90, "another producer has taken this transactional id")                      \
    X(62, ETXNIDNOTFOUND, 105, "there is no such transactional id")                                \
    X(63, ETXNABORTABLE, 120, "the transaction can only be aborted")                               \
    X(64, EINVALIDREQUEST, 42, "the request contradicts itself")                                   \
    X(65, EINVALIDASSIGNMENT, 39, "the replicas are not where the policy wants them")              \
    X(66, ENOREASSIGNMENT, 85, "no reassignment is in progress")                                   \
    X(67, ENOTPREFERRED, 80, "the preferred leader is not available")                              \
    X(68, ENOTELIGIBLE, 83, "no replica is eligible to lead")                                      \
    X(69, EELECTIONNOTNEEDED, 84, "the election is not needed")                                    \
    X(70, EUNKNOWNBROKER, 102, "there is no broker with this id")                                  \
    X(71, EUPDATEVERSION, 95, "the feature cannot have this level")                                \
    X(72, EENDPOINT, 114, "this is not the endpoint of controllers")                               \
    X(73, EFENCEDMEMBER, 110, "the member's epoch is not the one of this group: rejoin")           \
    X(74, EUNRELEASEDINSTANCE, 111, "another member still uses this group.instance.id")            \
    X(75, EUNSUPPORTEDASSIGNOR, 112, "there is no such assignor on this side")                     \
    X(76, ESTALEMEMBER, 113, "the member's epoch has moved on")                                    \
    X(77, EINVALIDREGEX, 128, "the regular expression is not understood")                          \
    X(78, ELOGDIR, 57, "the node has no such log directory")                                       \
    X(79, EREPLICA, 9, "the node has no replica of the partition")                                 \
    X(80, ENOENDPOINT, 115, "there is no such kind of endpoint")                                   \
    X(81, ETHROTTLED, 89, "the quota of changes is used up: try again later")                      \
    X(82, ENOTATTEMPTED, 55, "not attempted, as something else of the request is wrong")

enum tern_error {
    TERN_OK = 0,
#define TERN_ERROR_ENUM(number, name, kafka, sentence) TERN_##name = -(number),
    TERN_ERRORS(TERN_ERROR_ENUM)
#undef TERN_ERROR_ENUM
};

/* "EIO"; "OK" for 0; "E?" for a number that is not in the table. Static strings. */
const char *error_name(int error);
/* A sentence for people. Static string. */
const char *error_sentence(int error);
/* The Kafka error code, 0 for 0, -1 (UNKNOWN_SERVER_ERROR) for what is not in the table. */
int16_t error_kafka(int error);

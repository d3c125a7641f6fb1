#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares tern's Kafka schemas with another implementation of the protocol.

    kafka_vectors.py write    writes tests/kafka/<key>_v<version>.hex and tests/kafka/batches.txt
    kafka_vectors.py names    prints their and our name of every field, and fails if the types,
                              versions, nullability or tags of the two differ

Needs kafka-python 3 (pip install kafka-python python-snappy lz4 zstandard). A developer's tool: the vectors are committed, and
the tests need only them. Each line of a vector is `request HEX` or `response HEX`: a whole message
with header, without length prefix, written by kafka-python from random contents. Lines of
batches.txt are `KIND HEX`; the records are those that kafka_batch_vectors_test.c builds, too.
"""
import importlib
import importlib.util
import pathlib
import pkgutil
import random
import sys
import uuid

import kafka.protocol
from kafka.protocol.api_message import ApiMessage
from kafka.record.default_records import DefaultRecordBatchBuilder

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MESSAGES = 4       # of each kind and version
TEXT = "abcdefghijklmnopqrstuvwxyz-_.0123456789äß"
# Tags that our schemas leave out, by the names there: they are skipped like unknown ones.
LEFT_OUT = {("FetchRequest", "replica_directory_id"), ("FetchRequest", "high_watermark")}
# Our names of their types, where they are not the same but for "nt".
TYPES = {"bitfield": "i32", "float64": "i64", "uint16": "u16"}   # a float as its bits
BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}


def load_generator():
    path = ROOT / "proto" / "kafka" / "generate.py"
    spec = importlib.util.spec_from_file_location("generate", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def their_messages():
    """{(key, "request" or "response"): class}"""
    found = {}
    for info in pkgutil.walk_packages(kafka.protocol.__path__, "kafka.protocol."):
        if ".old" not in info.name:
            importlib.import_module(info.name)
    todo = [ApiMessage]
    while todo:
        cls = todo.pop()
        todo += cls.__subclasses__()
        if getattr(cls, "_json", None) is not None and cls._class_version is None:
            found[(cls.API_KEY, cls.type)] = cls
    return found


# ---- random contents ----------------------------------------------------------------------------

def random_value(rng, type_name):
    if type_name in BITS:
        bits = rng.choice((8, BITS[type_name]))
        return rng.randrange(-(2 ** (bits - 1)), 2 ** (bits - 1))
    if type_name == "bool":
        return rng.random() < 0.5
    if type_name == "uuid":
        return uuid.UUID(int=rng.getrandbits(128))
    if type_name == "string":
        return "".join(rng.choice(TEXT) for _ in range(rng.choice((0, 1, 5, 12, 130))))
    if type_name == "uint16":
        return rng.randrange(2 ** 16)
    if type_name == "float64":
        return rng.choice((0.0, 1.0, -1.5, 1024.0 * rng.randrange(1, 1 << 20), rng.random()))
    if type_name in ("bytes", "records"):
        return rng.randbytes(rng.choice((0, 1, 7, 200)))
    if type_name == "bitfield":
        return {bit for bit in range(31) if rng.random() < 0.2}
    raise NotImplementedError(type_name)


def random_field(rng, message, field, version):
    # Null records are read but never written by tern.
    if field.nullable_for_version_q(version) and field.type_str != "records" \
            and rng.random() < 0.3:
        return None
    if field.is_struct_array():
        return [random_struct(rng, message, field, version) for _ in range(rng.randrange(4))]
    if field.is_struct():
        return random_struct(rng, message, field, version)
    if field.is_array():
        inner = field.array_of.type_str
        return [random_value(rng, inner) for _ in range(rng.randrange(5))]
    return random_value(rng, field.type_str)


def random_fields(rng, message, fields, version):
    values = {}
    for field in fields:
        if not field.for_version_q(version):
            continue
        if (message, field.name) in LEFT_OUT or field.tag is not None and rng.random() < 0.4:
            continue
        values[field.name] = random_field(rng, message, field, version)
    return values


def random_struct(rng, message, field, version):
    fields = (field.array_of if field.is_struct_array() else field)._fields
    return field.data_class(version=version, **random_fields(rng, message, fields, version))


def random_message(rng, cls, version):
    fields = cls._struct._fields
    message = cls(version=version, **random_fields(rng, cls.name, fields, version))
    correlation_id = rng.getrandbits(31)
    if cls.is_request():
        message.with_header(correlation_id=correlation_id, client_id=rng.choice(("vector", "", None)))
    else:
        message.with_header(correlation_id=correlation_id)
    return message.encode(header=True, framed=False)


def write():
    theirs = their_messages()
    generator = load_generator()
    out = ROOT / "tests" / "kafka"
    write_batches(out)
    for path in sorted((ROOT / "proto" / "kafka").glob("[0-9]*.txt")):
        api = generator.parse_api(path)
        if (api.key, "request") not in theirs:
            continue    # written by tests/tools/kmsg/vectors.go
        for version in range(api.versions[0], api.versions[1] + 1):
            lines = [f"# {api.name} version {version}, by kafka-python {kafka.__version__}"]
            for side in ("request", "response"):
                cls = theirs[(api.key, side)]
                rng = random.Random(f"{api.key} {version} {side}")
                for _ in range(MESSAGES):
                    lines.append(f"{side} {random_message(rng, cls, version).hex()}")
            (out / f"{api.key:02d}_v{version}.hex").write_text("\n".join(lines) + "\n")


# ---- record batches -----------------------------------------------------------------------------

def batch(codec=0, transactional=False, producer=(-1, -1, -1), headers=False):
    builder = DefaultRecordBatchBuilder(2, codec, transactional, *producer, 1 << 20)
    for i in range(20):
        key = None if i % 3 == 0 else f"key-{i}".encode()
        value = None if i % 5 == 4 else f"value-{i} ".encode() * i
        some = [("h", b"x"), ("", None)][:i % 3] if headers else []
        builder.append(i, 1700000000000 + i * 7 % 5 * 1000, key, value, some)
    return bytes(builder.build())


def write_batches(out):
    lines = [f"# Record batches by kafka-python {kafka.__version__}",
             f"plain {batch().hex()}",
             f"producer {batch(producer=(123456789012, 5, 2000000000)).hex()}",
             f"transactional {batch(transactional=True, producer=(7, 0, 0)).hex()}",
             f"headers {batch(headers=True).hex()}",
             f"gzip {batch(codec=1).hex()}",
             f"snappy {batch(codec=2).hex()}",
             f"lz4 {batch(codec=3).hex()}",
             f"zstd {batch(codec=4).hex()}"]
    (out / "batches.txt").write_text("\n".join(lines) + "\n")


# ---- names --------------------------------------------------------------------------------------

def clip(versions, since, until):
    """None if nothing is left of a range of versions."""
    if versions is None:
        return None
    low, high = max(versions[0], since), min(versions[1], until)
    return None if low > high else (low, high)


def describe_theirs(field, since, until):
    tag = -1 if field.tag is None else field.tag
    type_name = field.type_str.removeprefix("[]")
    is_struct = field.is_struct() or field.is_struct_array()
    nullable = clip(field._nullable_versions, since, until)
    if nullable is not None and (field.type_str == "records" or not is_nullable_kind(field)):
        nullable = None
    return ("struct" if is_struct else TYPES.get(type_name, type_name.replace("int", "i")),
            field.is_array() or field.is_struct_array(), tag, since, until,
            nullable[0] if nullable else None)


def is_nullable_kind(field):
    return (field.is_array() or field.is_struct_array() or field.is_struct()
            or field.type_str in ("string", "bytes"))


def describe_ours(field, since, until, never):
    nullable = max(field.nullable_since, since)
    return ("struct" if field.struct else field.type, field.array and not field.one, field.tag, since, until,
            nullable if field.nullable_since != never and nullable <= until else None)


def compare(path, message, theirs, ours, since, until, never):
    """Both sides within the versions since..until; returns the number of differences."""
    def bounds(field, versions):
        return max(versions[0], since), min(versions[1], until)

    theirs = [(f, *bounds(f, f._versions)) for f in theirs if (message, f.name) not in LEFT_OUT]
    theirs = [t for t in theirs if t[1] <= t[2]]
    ours = [(f, *bounds(f, (f.since, f.until))) for f in ours]
    bad = 0
    if len(theirs) != len(ours):
        print(f"{path}: {len(theirs)} fields there, {len(ours)} here")
        return 1
    for (their, *their_bounds), (our, *our_bounds) in zip(theirs, ours):
        there = describe_theirs(their, *their_bounds)
        here = describe_ours(our, *our_bounds, never)
        same = there == here
        bad += not same
        print(f"{path:44} {their.name:36} {our.name:36} {'' if same else f'{there} != {here}'}")
        if our.struct:
            bad += compare(f"{path}.{our.name}", message, their._fields, our.struct.fields,
                           *our_bounds, never)
    return bad


def names():
    theirs = their_messages()
    generator = load_generator()
    bad = 0
    for path in sorted((ROOT / "proto" / "kafka").glob("[0-9]*.txt")):
        api = generator.parse_api(path)
        if (api.key, "request") not in theirs:
            print(f"{api.name}: not there")
            continue
        for side in ("request", "response"):
            cls = theirs[(api.key, side)]
            flexible = cls._flexible_versions[0]
            if api.flexible != (generator.NEVER if flexible < 0 else flexible):
                print(f"{api.name}: flexible from {flexible} there")
                bad += 1
            bad += compare(f"{api.name} {side}", cls.name, cls._struct._fields,
                           getattr(api, side).fields, *api.versions, generator.NEVER)
    print(f"{bad} differences")
    return 1 if bad else 0


def main(args):
    if args == ["write"]:
        return write()
    if args == ["names"]:
        return names()
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

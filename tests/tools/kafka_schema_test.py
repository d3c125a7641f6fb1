#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mistakes in Kafka schemas are refused with their place; the committed output is what they say."""
import importlib.util
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GENERATOR = ROOT / "proto" / "kafka" / "generate.py"
SPEC = importlib.util.spec_from_file_location("generate", GENERATOR)
GENERATE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(GENERATE)

HEAD = "api 7 thing\nversions 0-4\nflexible 2\nauth none none\n"
GOOD = HEAD + "request\n    name string\nresponse\n    error i16\n"


def parse(text, name="07_thing.txt"):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / name
        path.write_text(text)
        api = GENERATE.parse_api(path)
        GENERATE.check_api(api)
        return api


class Schemas(unittest.TestCase):
    def refused(self, text, part, name="07_thing.txt"):
        with self.assertRaises(GENERATE.SchemaError) as caught:
            parse(text, name)
        self.assertIn(part, str(caught.exception))
        self.assertTrue(str(caught.exception).startswith(name))

    def field_refused(self, line, part):
        self.refused(GOOD.replace("    name string\n", f"    name string\n{line}\n"), part)

    def test_the_smallest_schema_is_taken(self):
        api = parse(GOOD)
        self.assertEqual((api.key, api.name, api.advertised), (7, "thing", (-1, -1)))

    def test_heads_must_be_complete(self):
        self.refused(GOOD, "should be called", "07_thong.txt")
        for line in ("api 7 thing\n", "versions 0-4\n", "auth none none\n"):
            self.refused(GOOD.replace(line, ""), "needs a line")
        self.refused(GOOD.replace("0-4", "0+"), "versions FIRST-LAST")
        self.refused(GOOD.replace("0-4", "4-0"), "empty")
        self.refused(GOOD.replace("auth none none", "auth topics read"), "auth RESOURCE")
        self.refused(GOOD.replace("flexible 2", "flexible 2\nadvertise 0-5"), "does not have")
        self.refused(GOOD.replace("flexible", "flexibel"), "not understood")
        self.refused(HEAD + "response\n    error i16\n", "one request")
        self.refused(HEAD + "request\n    name string\n", "a request and a response")

    def test_fields_must_be_right(self):
        for line, part in (
                ("    x", "a name and a type"),
                ("    X i32", "cannot name"),
                ("    int i32", "cannot name"),
                ("    name i32", "appears twice"),
                ("    x i31", "no type"),
                ("    x [i32", "not a type"),
                ("    x i32?", "can be null"),
                ("    x i32 5+", "no version"),
                ("    x i32 3-1", "empty"),
                ("    x i32 1+ tag 0", "before the versions are flexible"),
                ("    x i32 2+ tag 0\n    y i32 2+ tag 0", "same tag"),
                ("    x records 2+ tag 0", "cannot be tagged"),
                ("    x [records]", "arrays of records"),
                ("    x i8 = 128", "does not fit"),
                ("    x i8 = many", "not a number"),
                ("    x [i8] = 1", "no default"),
                ("    x i32 maybe", "not understood"),
                ("    x [item]", "has no fields"),
                ("    x [item]\n        y i32 2-3", "no bytes"),
                ("    x [item]\n        y i32\n    z [item]\n        y i32", "appears twice"),
                ("    x [item]\n        y i32\n      z i32", "unexpected indentation"),
                ("    x [i32]\n    x_count i32", "own member"),
                ("\tx i32", "a tab")):
            with self.subTest(line):
                self.field_refused(line, part)

    def test_nesting_is_bounded(self):
        lines = ["    " * (depth + 1) + f"a{depth} [b{depth}]" for depth in range(7)]
        self.field_refused("\n".join(lines + ["    " * 8 + "x i32"]), "nested more than")

    def test_the_committed_output_is_what_the_schemas_say(self):
        run = subprocess.run([sys.executable, GENERATOR, "--check"], capture_output=True, text=True,
                             check=False)
        self.assertEqual((run.returncode, run.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()

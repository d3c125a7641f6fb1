# SPDX-License-Identifier: Apache-2.0
"""Checks JSON against docs/reference/*.schema.json: the words that tests/lib/schema.c knows, and no other."""
import json
import os

WORDS = {'$schema', 'title', 'description', 'examples', 'type', 'enum', 'minimum', 'properties', 'required',
         'additionalProperties', 'items'}
TYPES = {'object': dict, 'array': list, 'string': str, 'boolean': bool, 'null': type(None)}


def is_type(name, value):
    if name in ('integer', 'number'):
        return isinstance(value, int if name == 'integer' else (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def problems(schema, value, where='(root)'):
    """Sentences; none when the value follows the schema."""
    found = [f'{where}: the schema has the unknown word {word}' for word in schema if word not in WORDS]
    types = schema.get('type', [])
    types = [types] if isinstance(types, str) else types
    if types and not any(is_type(t, value) for t in types):
        return found + [f'{where}: {value!r} is none of {types}']
    if 'enum' in schema and value not in schema['enum']:
        found.append(f'{where}: {value!r} is none of {schema["enum"]}')
    if 'minimum' in schema and value is not None and value < schema['minimum']:
        found.append(f'{where}: {value!r} is below {schema["minimum"]}')
    if isinstance(value, dict):
        known, others = schema.get('properties', {}), schema.get('additionalProperties', True)
        found += [f'{where}: {key} is missing' for key in schema.get('required', []) if key not in value]
        for key, item in value.items():
            if key in known or isinstance(others, dict):
                found += problems(known.get(key, others), item, f'{where}/{key}')
            elif not others:
                found.append(f'{where}: {key} stands in no schema')
    if isinstance(value, list) and 'items' in schema:
        for n, item in enumerate(value):
            found += problems(schema['items'], item, f'{where}/{n}')
    return found


def load(name):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(os.path.join(root, 'docs/reference', f'{name}.schema.json')) as f:
        return json.load(f)

# SPDX-License-Identifier: Apache-2.0
"""EDN, as much of it as histories need: read() any value, Keyword for :names, dump() back to text.

Maps are dicts, vectors, lists and sets are lists. Tags (#inst "...") are dropped, their value stays.
"""
import re


class Keyword(str):
    """:name; equal to the bare string 'name'."""
    __slots__ = ()

    def __repr__(self):
        return ':' + str(self)


class Error(ValueError):
    """Not EDN; the message names the place."""


TOKEN = re.compile(r'[\s,]*(?:;[^\n]*[\s,]*)*(?:(#\{|#_|[\[\](){}])|("(?:[^"\\]|\\.)*")|(\\\S+)|([^\s,\[\](){}";]+))')
CLOSING = {'[': ']', '(': ')', '{': '}', '#{': '}'}
WORDS = {'nil': None, 'true': True, 'false': False}
ESCAPES = {'n': '\n', 't': '\t', 'r': '\r', '"': '"', '\\': '\\'}


def atom(word):
    if word in WORDS:
        return WORDS[word]
    if word[0] == ':':
        return Keyword(word[1:])
    if word[0].isdigit() or (word[0] in '+-' and len(word) > 1 and word[1].isdigit()):
        try:
            return int(word.rstrip('N'))
        except ValueError:
            pass
        try:
            return float(word.rstrip('M'))
        except ValueError:
            raise Error(f'not a number: {word}') from None
    return word


def string(text):
    return re.sub(r'\\(.)', lambda m: ESCAPES.get(m.group(1), m.group(1)), text[1:-1])


class Reader:
    def __init__(self, text):
        self.text = text
        self.at = 0

    def token(self):
        found = TOKEN.match(self.text, self.at)
        if not found:
            if re.match(r'[\s,]*(;[^\n]*\s*)*$', self.text[self.at:]):
                return None
            raise Error(f'not EDN at character {self.at}: {self.text[self.at:self.at + 30]!r}')
        self.at = found.end()
        return found

    def value(self, found=None):
        found = found or self.token()
        if found is None:
            raise Error('the text ends in the middle of a value')
        bracket, quoted, char, word = found.groups()
        if quoted is not None:
            return string(quoted)
        if char is not None:
            return char[1:]
        if word is not None:
            return self.value() if word[0] == '#' else atom(word)
        if bracket == '#_':
            self.value()
            return self.value()
        if bracket not in CLOSING:
            raise Error(f'{bracket} closes nothing at character {self.at}')
        return self.collection(bracket)

    def collection(self, bracket):
        items = []
        while True:
            found = self.token()
            if found is None:
                raise Error(f'{bracket} is never closed')
            if found.group(1) == CLOSING[bracket]:
                break
            items.append(self.value(found))
        if bracket != '{':
            return items
        if len(items) % 2:
            raise Error('a map with a key and no value')
        return dict(zip(items[::2], items[1::2]))


def read(text):
    """The one value in a text."""
    return Reader(text).value()


def read_all(text):
    """Every value in a text, one after the other."""
    reader = Reader(text)
    while True:
        found = reader.token()
        if found is None:
            return
        yield reader.value(found)


def dump(value):
    if value is None:
        return 'nil'
    if value is True or value is False:
        return 'true' if value else 'false'
    if isinstance(value, Keyword):
        return ':' + value
    if isinstance(value, str):
        return '"' + value.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n') + '"'
    if isinstance(value, dict):
        return '{' + ', '.join(f'{dump(k)} {dump(v)}' for k, v in value.items()) + '}'
    if isinstance(value, (list, tuple)):
        return '[' + ' '.join(dump(v) for v in value) + ']'
    return repr(value)

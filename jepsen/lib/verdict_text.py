# SPDX-License-Identifier: Apache-2.0
"""A verdict as text."""

CLOSING = ('ops', 'acked', 'lost', 'duplicated', 'reordered', 'unseen', 'exposed_over_bound')


def text(verdict):
    lines = []
    for name, (count, examples) in sorted(verdict.classes.items(), key=lambda item: item[0] in verdict.allowed):
        allowed = ' (allowed)' if name in verdict.allowed else ''
        lines.append(f'{name}: {count}{allowed}')
        lines.extend(f'    {example[:400]}' for example in examples)
    for loss in verdict.exposures:
        lines.append(f'exposed: {loss["key"]}: {loss["records"]} records, {loss["bytes"]} bytes, {loss["seconds"]:.2f} s of acknowledgements, '
                     f'{loss["over"]} over the bound')
    rest = [f'{name}={value}' for name, value in verdict.numbers.items() if name not in CLOSING]
    if rest:
        lines.append(' '.join(rest))
    return ''.join(line + '\n' for line in lines)


def numbers(verdict):
    return ' '.join(f'{name}={verdict.numbers.get(name, 0)}' for name in CLOSING)

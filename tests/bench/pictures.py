# SPDX-License-Identifier: Apache-2.0
"""What docs/BENCHMARKS.md shows of its rows beside the tables: SVG, one function for each kind of picture. They get results and rows, and read nothing."""
import math
import statistics
from xml.sax.saxutils import escape

COLOURS = {'tern': '#d62728', 'tern-best': '#ff9896', 'kafka': '#1f77b4', 'kafka-best': '#aec7e8', 'kafka-ssl': '#9467bd', 'nats': '#2ca02c', 'nats-sync': '#98df8a'}
GREY = '#ccc'


def _svg(width, height, parts):
    return '\n'.join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
                      '<rect width="100%" height="100%" fill="white"/>', *parts, '</svg>', ''])


def _line(x1, y1, x2, y2, colour, more=''):
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" stroke="{colour}"{more}/>'


def _text(x, y, text, anchor='start', colour='black'):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


# ---- latency by percentile -----------------------------------------------------------------------


def percentile_points(histograms):
    """(nines, ms) of all rounds together."""
    counts = {}
    for h in histograms:
        for low, n in h:
            counts[low] = counts.get(low, 0) + n
    total, seen, out = sum(counts.values()), 0, []
    for low in sorted(counts):
        seen += counts[low]
        nines = -math.log10(1 - seen / total) if seen < total else math.log10(total)
        out.append((min(nines, math.log10(total)), max(low, 1) / 1e3))
    return out


def curves(results, row):
    """Of a row whose results keep their histograms; both axes by decades, the floor dashed."""
    lines = {name: percentile_points([x['histogram'] for x in found.values() if x.get('histogram')]) for name in row.systems
             if (found := results.good(row.name, name)) and any(x.get('histogram') for x in found.values())}
    if not lines:
        return None
    high = math.ceil(math.log10(max(ms for points in lines.values() for _, ms in points)))
    low = math.floor(math.log10(min(ms for points in lines.values() for _, ms in points)))
    high = max(high, low + 1)

    def at(nines, ms):
        return 80 + nines / 4 * 700, 380 - (math.log10(ms) - low) / (high - low) * 320
    out = [_text(80, 30, f'{row.name}: latency by percentile, all rounds')]
    for decade in range(low, high + 1):
        y = at(0, 10 ** decade)[1]
        out += [_line(80, y, 780, y, GREY), _text(74, y + 4, f'{10 ** decade:g} ms', 'end')]
    for nines, label in enumerate(('0', '90', '99', '99.9', '99.99')):
        x = at(nines, 10 ** low)[0]
        out += [_line(x, 60, x, 380, GREY), _text(x, 398, label, 'middle')]
    for i, (name, points) in enumerate(lines.items()):
        path = ' '.join(f'{x:.1f},{y:.1f}' for x, y in (at(*p) for p in points if p[0] <= 4))
        out += [f'<polyline fill="none" stroke="{COLOURS[name]}" stroke-width="1.6" points="{path}"/>', _text(790, 80 + 18 * i, name, colour=COLOURS[name])]
    floors = [x['floor_ms'] for x in results.lines if x['row'] == row.name and x.get('floor_ms')]
    if floors:
        y = at(0, statistics.median(floors))[1]
        out += [_line(80, y, 780, y, 'black', ' stroke-dasharray="4 3"'), _text(790, y + 4, 'floor')]
    return _svg(900, 440, out)


# ---- bars and dots: a line for each, their names at the left --------------------------------------

LEFT, RIGHT, STEP = 250, 860, 18


def _scale(most, by_decades, least=0.0):
    """value -> x, and where the axis has its marks."""
    if by_decades:
        low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
        high = max(high, low + 1)
        return (lambda v: LEFT + (math.log10(max(v, 10 ** low)) - low) / (high - low) * (RIGHT - LEFT)), [10.0 ** n for n in range(low, high + 1)]
    step = 10 ** math.floor(math.log10(most))
    step = next(s for s in (step / 5, step / 2, step, step * 2) if most / s <= 8)
    end = math.ceil(most / step) * step
    return (lambda v: LEFT + v / end * (RIGHT - LEFT)), [step * n for n in range(round(end / step) + 1)]


def _axis(x_of, marks, height):
    return [part for mark in marks for part in (_line(x_of(mark), 40, x_of(mark), height - 24, GREY), _text(x_of(mark), height - 8, f'{mark:,g}', 'middle'))]


def bars(results, title, unit, shown, by_decades=False):
    """`shown`: (row, key, target) each with a bar for every system that has it, and from least to most of its rounds; the target, or None, is dashed. By decades a bar would
    have no beginning: a dot."""
    groups = []
    for row, key, target in shown:
        found = [(name, [x[key] for x in results.good(row.name, name).values() if x.get(key)]) for name in row.systems]
        found = [(name, values) for name, values in found if values]
        groups += [(row.name, target, found)] if found else []
    everything = [v for _, _, found in groups for _, values in found for v in values]
    if not everything:
        return None
    targets = [target for _, target, _ in groups if target]
    x_of, marks = _scale(max(everything + targets), by_decades, min(everything + targets))
    height = 70 + sum(STEP * len(found) + 14 for _, _, found in groups)
    out = [_text(20, 26, f'{title}, {unit}'), *_axis(x_of, marks, height)]
    y = 50
    for name, target, found in groups:
        out.append(_text(20, y + 12, name))
        top = y
        for system, values in found:
            middle, end = statistics.median(values), x_of(statistics.median(values))
            mark = (f'<circle cx="{end:.1f}" cy="{y + 9}" r="5" fill="{COLOURS[system]}"/>' if by_decades else
                    f'<rect x="{LEFT}" y="{y + 2}" width="{max(end - LEFT, 1):.1f}" height="{STEP - 5}" fill="{COLOURS[system]}"/>')
            number = f'{middle:,.0f}' if middle >= 100 else f'{middle:.3g}'
            out += [_text(LEFT - 8, y + 13, system, 'end'), mark, _line(x_of(min(values)), y + STEP / 2, x_of(max(values)), y + STEP / 2, 'black'),
                    _text(max(x_of(max(values)), end + 4) + 5, y + 13, number)]
            y += STEP
        if target:
            out.append(_line(x_of(target), top - 2, x_of(target), y + 1, 'black', ' stroke-dasharray="4 3"'))
        y += 14
    return _svg(920, height, out)


def dots(results, title, unit, shown):
    """`shown`: (row, key, at most); what a round has under key is many values, each a dot. By decades, for peers take many times as long."""
    found = [(row, system, target, [v for x in results.good(row.name, system).values() for v in x.get(key, [])]) for row, key, target in shown for system in row.systems]
    found = [x for x in found if x[3]]
    if not found:
        return None
    everything = [v for *_, values in found for v in values]
    x_of, marks = _scale(max(everything), True, min(everything))
    height = 70 + STEP * len(found)
    out = [_text(20, 26, f'{title}, {unit}: each fault a dot, dashed what the longest may be'), *_axis(x_of, marks, height)]
    for i, (row, system, target, values) in enumerate(found):
        y = 50 + STEP * i
        if i == 0 or found[i - 1][0] is not row:
            out.append(_text(20, y + 12, row.name))
        out.append(_text(LEFT - 8, y + 12, system, 'end'))
        out += [f'<circle cx="{x_of(v):.1f}" cy="{y + 8}" r="3" fill="{COLOURS[system]}" fill-opacity="0.6"/>' for v in values]
        if target and system == 'tern':
            out.append(_line(x_of(target), y, x_of(target), y + STEP - 2, 'black', ' stroke-dasharray="4 3"'))
    return _svg(920, height, out)

# SPDX-License-Identifier: Apache-2.0
"""One page per run, as text and as HTML with its drawing inside."""
import html

import verdict_text

COLOURS = {'network': '#c0392b', 'process': '#d35400', 'disk': '#8e44ad', 'clock': '#16a085', 'operator': '#2980b9'}


def family(kind):
    if kind in ('isolate', 'one-way', 'ring', 'full-partition', 'flapping', 'grey-loss', 'latency', 'bandwidth', 'reordering', 'duplication'):
        return 'network'
    if kind.startswith(('kill', 'pause', 'restart', 'rolling', 'client')):
        return 'process'
    if kind.startswith('clock'):
        return 'clock'
    return 'operator' if kind in ('leader-move', 'policy-change') else 'disk'


def fault_line(fault, start):
    what = fault.get('what') or {}
    effect = fault.get('effect') or {}
    at = (fault['begin'] - start) / 1e9
    if fault.get('skipped'):
        return f'{at:7.1f} s         {fault["kind"]:22} left out: {fault["skipped"]}'
    rest = ' '.join(f'{k}={v}' for k, v in what.items() if k != 'seen' and v not in ('', None))
    return (f'{at:7.1f} s {(fault["end"] - fault["begin"]) / 1e9:6.1f} s {fault["kind"]:22} leaders={effect.get("leader_changes", 0)} '
            f'stall={effect.get("stall_ms", 0)}ms unknown={effect.get("unknown", 0)} p99={effect.get("p99_ms")}ms seen={what.get("seen")} {rest}')


def text(run):
    lines = [run['closing'], '', f'seed {run["seed"]}, {run["seconds"]} s, commit {run["commit"]}, network {run["wan"] or "loopback"}, '
             f'disks {" ".join(run["disks"])}', f'reason: {run["reason"]}', '', 'Faults']
    lines += ['  ' + fault_line(f, run['start']) for f in run['faults']]
    lines += ['', 'By kind (times, with evidence of its own, with effect on clients; leader changes, stalls, longest, unknown answers)']
    for kind, n in sorted(run['kinds'].items()):
        lines.append(f'  {kind:22} {n["times"]:3} {n["seen"]:3} {n["acted"]:3}   {n["leader_changes"]:4} {n["stalls"]:3} {n["stall_ms_max"]:6} ms {n["unknown"]:5}')
    lines += ['', 'Checker', *('  ' + line for line in verdict_text.text(run['verdict']).splitlines())]
    if run['notes']:
        lines += ['', 'Notes', *('  ' + note for note in run['notes'])]
    return '\n'.join(lines) + '\n'


def per_second(sends, start, seconds):
    acked, other = [0] * (seconds + 1), [0] * (seconds + 1)
    for _began, ended, _key, type_ in sends:
        at = (ended - start) // 10**9
        if 0 <= at <= seconds:
            (acked if type_ == 'ok' else other)[at] += 1
    return acked, other


def drawing(run, sends):
    seconds = max(1, int((run['end'] - run['start']) / 1e9) + 1)
    acked, other = per_second(sends, run['start'], seconds)
    width, height, left = 1100, 220, 50
    top = max(acked + [1])

    def x(at):
        return left + at * (width - left) / seconds

    parts = [f'<svg viewBox="0 0 {width} {height + 130}" xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="11">']
    for n, fault in enumerate(f for f in run['faults'] if not f.get('skipped')):
        begin, end = (fault['begin'] - run['start']) / 1e9, (fault['end'] - run['start']) / 1e9
        colour = COLOURS[family(fault['kind'])]
        lane = height + 30 + n % 6 * 15
        parts.append(f'<rect x="{x(begin):.1f}" y="10" width="{max(1.5, x(end) - x(begin)):.1f}" height="{height - 10}" fill="{colour}" opacity=".13"/>')
        parts.append(f'<rect x="{x(begin):.1f}" y="{lane - 9}" width="{max(1.5, x(end) - x(begin)):.1f}" height="3" fill="{colour}"/>')
        parts.append(f'<text x="{x(begin):.1f}" y="{lane + 4}" fill="{colour}">{html.escape(fault["kind"])}</text>')
    for values, colour in ((acked, '#27ae60'), (other, '#e74c3c')):
        points = ' '.join(f'{x(at):.1f},{height - n * (height - 20) / top:.1f}' for at, n in enumerate(values))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    parts.append(f'<line x1="{left}" y1="{height}" x2="{width}" y2="{height}" stroke="#888"/>')
    for at in range(0, seconds + 1, max(10, seconds // 10 // 10 * 10)):
        parts.append(f'<text x="{x(at):.1f}" y="{height + 14}" text-anchor="middle">{at} s</text>')
    parts.append(f'<text x="4" y="20">{top}/s</text><text x="4" y="{height}">0</text>')
    parts.append(f'<text x="{left}" y="{height + 126}">green: acknowledged per second; red: unknown or refused; bars: faults</text></svg>')
    return ''.join(parts)


def page(run, sends):
    colour = {'PASS': '#27ae60', 'FAIL': '#c0392b', 'VOID': '#7f8c8d'}[run['result']]
    return ('<!doctype html><meta charset="utf-8"><title>' + html.escape(run['closing']) + '</title>'
            '<style>body{font:14px sans-serif;max-width:1140px;margin:2em auto}pre{font-size:11px;overflow-x:auto}</style>'
            f'<h1 style="color:{colour}">{run["result"]}</h1><p><code>{html.escape(run["closing"])}</code></p>'
            f'{drawing(run, sends)}<pre>{html.escape(text(run))}</pre>\n')

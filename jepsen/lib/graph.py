# SPDX-License-Identifier: Apache-2.0
"""Cycles between completed ops: ww (adjacent values of a key), wr (a poll depends on who sent what it returned), the order of a
process, and real time. Real time is a chain through all begins and ends, so that the graph stays linear in the history."""


def components(count, edges):
    """Strongly connected components with more than one node; edges[n]: list of nodes. Tarjan's, without recursion."""
    order, low, on_stack, stack, found, clock = [0] * count, [0] * count, [False] * count, [], [], 0
    for root in range(count):
        if order[root]:
            continue
        work = [(root, 0)]
        while work:
            node, at = work.pop()
            if at == 0:
                clock += 1
                order[node] = low[node] = clock
                stack.append(node)
                on_stack[node] = True
            pushed = False
            targets = edges[node]
            while at < len(targets):
                to = targets[at]
                at += 1
                if not order[to]:
                    work.append((node, at))
                    work.append((to, 0))
                    pushed = True
                    break
                if on_stack[to] and order[to] < low[node]:
                    low[node] = order[to]
            if pushed:
                continue
            if low[node] == order[node]:
                group = []
                while True:
                    top = stack.pop()
                    on_stack[top] = False
                    group.append(top)
                    if top == node:
                        break
                if len(group) > 1:
                    found.append(group)
            if work:
                parent = work[-1][0]
                low[parent] = min(low[parent], low[node])
    return found


def acyclic(count, edges):
    degree = [0] * count
    for targets in edges:
        for to in targets:
            degree[to] += 1
    ready = [n for n in range(count) if degree[n] == 0]
    seen = 0
    while ready:
        node = ready.pop()
        seen += 1
        for to in edges[node]:
            degree[to] -= 1
            if degree[to] == 0:
                ready.append(to)
    return seen == count


class Graph:
    """Nodes are ops (ok, and info that is known to have happened); built once, asked for several kinds of cycles."""

    def __init__(self, invocations):
        self.ops = [op for op in invocations if (op.mops or op.end.mops) and op.end.type in ('ok', 'info')]
        self.number = {id(op.end): n for n, op in enumerate(self.ops)}
        self.ww, self.wr = [], []

    def node(self, completion):
        return self.number.get(id(completion))

    def add(self, kind, a, b):
        a, b = self.node(a), self.node(b)
        if a is not None and b is not None and a != b:
            (self.ww if kind == 'ww' else self.wr).append((a, b))

    def process_edges(self):
        last = {}
        for n, op in enumerate(self.ops):  # in the order of their invocations
            if op.process in last:
                yield last[op.process], n
            last[op.process] = n

    def build(self, kinds):
        count = len(self.ops)
        edges = [[] for _ in range(count)]
        for kind in kinds:
            if kind == 'realtime':
                continue
            for a, b in self.ww if kind == 'ww' else self.wr if kind == 'wr' else self.process_edges():
                edges[a].append(b)
        if 'realtime' in kinds:
            # An op that ended before another began leads to it along the chain of ends. Equal times: at once, no edge.
            events = []
            for n, op in enumerate(self.ops):
                events.append((op.time, 0, n))
                if op.end.type == 'ok':
                    events.append((op.end.time, 1, n))
            events.sort()
            chain = None
            for _time, ended, n in events:
                if ended:
                    edges.append([])
                    if chain is not None:
                        edges[chain].append(len(edges) - 1)
                    chain = len(edges) - 1
                    edges[n].append(chain)
                elif chain is not None:
                    edges[chain].append(n)
        return edges

    def cycles(self, *kinds):
        """Components of ops: lists of completions, at most eight of each."""
        edges = self.build(kinds)
        if acyclic(len(edges), edges):
            return []
        found = []
        for group in components(len(edges), edges):
            members = sorted(n for n in group if n < len(self.ops))
            if len(members) > 1:
                found.append([self.ops[n].end for n in members[:8]])
        return found

    def anomalies(self):
        """{name: components}. G1c+ww* are those that need the order of a log besides what was read: they may be allowed."""
        result = {}
        if not self.cycles('ww', 'wr', 'process', 'realtime'):
            return result
        for family, kinds in (('G0', ('ww',)), ('G1c', ('wr',)), ('G1c+ww', ('ww', 'wr'))):
            if family == 'G1c+ww' and result:
                break  # the same cycles again
            # A cycle that needs no time is one with time, too: only the plainest is told.
            for more in ('', 'process', 'realtime'):
                found = self.cycles(*kinds, *([more] if more else []))
                if found:
                    result[f'{family}-{more}' if more else family] = found
                    break
        return result

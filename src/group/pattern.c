/* SPDX-License-Identifier: Apache-2.0 */
#include "group/pattern.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define DEPTH_MAX  32
#define REPEAT_MAX 100

/* A program for an automaton that is in many places at once (Thompson's). */
enum op { OP_CLASS, OP_SPLIT, OP_JUMP, OP_BEGIN, OP_END, OP_MATCH };
struct step {
    enum op op;
    uint32_t a; /* CLASS: its number; SPLIT: one way; JUMP: the way */
    uint32_t b; /* SPLIT: the other way */
};

struct class
{
    uint32_t bits[8];
};

struct pattern {
    struct step *steps;
    uint32_t step_count;
    uint32_t step_cap;
    struct class *classes;
    uint32_t class_count;
    uint32_t class_cap;
    uint32_t *now; /* places; step_count of each */
    uint32_t *next;
    uint32_t *seen; /* round in which the place was reached */
    uint32_t *stack;
    uint32_t round;
};

struct parser {
    struct slice in;
    size_t at;
    struct pattern *pattern;
    uint32_t depth;
    bool failed;
};

/* ---- parsing --------------------------------------------------------------------------------- */

static bool fail(struct parser *p)
{
    p->failed = true;
    return false;
}

static int peek(const struct parser *p)
{
    return p->at < p->in.len && !p->failed ? p->in.base[p->at] : -1;
}

static bool take(struct parser *p, char c)
{
    bool there = peek(p) == (unsigned char)c;

    p->at += there;
    return there;
}

static uint32_t emit(struct parser *p, struct step step)
{
    struct pattern *to = p->pattern;

    if (to->step_count >= PATTERN_STEPS_MAX) {
        (void)fail(p);
        return 0;
    }
    if (to->step_count == to->step_cap) {
        to->step_cap = to->step_cap > 0 ? to->step_cap * 2 : 32;
        to->steps = mem_grow(to->steps, to->step_cap, sizeof *to->steps);
    }
    to->steps[to->step_count] = step;
    return to->step_count++;
}

/* Room for one step at `at`; what comes after it moves, with its ways. */
static void insert(struct parser *p, uint32_t at)
{
    (void)emit(p, (struct step){OP_JUMP, 0, 0});
    if (p->failed) {
        return;
    }
    struct step *steps = p->pattern->steps;
    uint32_t count = p->pattern->step_count;
    memmove(&steps[at + 1], &steps[at], (count - 1 - at) * sizeof *steps);
    for (uint32_t i = at + 1; i < count; i++) {
        if (steps[i].op == OP_SPLIT || steps[i].op == OP_JUMP) {
            steps[i].a += steps[i].a >= at;
            steps[i].b += steps[i].b >= at;
        }
    }
}

static void class_add(struct class *c, unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to && i < 256; i++) {
        c->bits[i / 32] |= 1U << (i % 32);
    }
}

static void class_invert(struct class *c)
{
    for (int i = 0; i < 8; i++) {
        c->bits[i] = ~c->bits[i];
    }
}

static void class_join(struct class *c, const struct class *other)
{
    for (int i = 0; i < 8; i++) {
        c->bits[i] |= other->bits[i];
    }
}

/* What follows a backslash. *single: it is that one character, else -1. */
static bool parse_escape(struct parser *p, struct class *out, int *single)
{
    int c = peek(p);
    struct class found = {{0}};

    p->at++;
    *single = -1;
    switch (c) {
    case 'd':
    case 'D':
        class_add(&found, '0', '9');
        break;
    case 'w':
    case 'W':
        class_add(&found, '0', '9');
        class_add(&found, 'a', 'z');
        class_add(&found, 'A', 'Z');
        class_add(&found, '_', '_');
        break;
    case 's':
    case 'S':
        class_add(&found, '\t', '\n');
        class_add(&found, '\f', '\r');
        class_add(&found, ' ', ' ');
        break;
    default:
        if (c < 0 || c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
            (c >= 'A' && c <= 'Z')) {
            return fail(p); /* references, boundaries, classes by name, codes */
        }
        *single = c;
        class_add(&found, (unsigned)c, (unsigned)c);
    }
    if (c == 'D' || c == 'W' || c == 'S') {
        class_invert(&found);
    }
    class_join(out, &found);
    return true;
}

static bool parse_bracket(struct parser *p, struct class *out)
{
    bool inverted = take(p, '^');
    bool first = true;

    while (first || peek(p) != ']') {
        int from = peek(p);
        int to;
        if (from < 0 || (from == '[' && p->at + 1 < p->in.len && p->in.base[p->at + 1] == ':')) {
            return fail(p);
        }
        p->at++;
        first = false;
        if (from == '\\') {
            if (!parse_escape(p, out, &from)) {
                return false;
            }
            if (from < 0) {
                continue;
            }
        }
        to = from;
        if (peek(p) == '-' && p->at + 1 < p->in.len && p->in.base[p->at + 1] != ']') {
            p->at++;
            to = peek(p);
            p->at++;
            if (to == '\\' && (!parse_escape(p, out, &to) || to < 0)) {
                return fail(p);
            }
        }
        if (to < from) {
            return fail(p);
        }
        class_add(out, (unsigned)from, (unsigned)to);
    }
    p->at++;
    if (inverted) {
        class_invert(out);
    }
    return true;
}

static void emit_class(struct parser *p, const struct class *c)
{
    struct pattern *to = p->pattern;

    if (to->class_count == to->class_cap) {
        to->class_cap = to->class_cap > 0 ? to->class_cap * 2 : 16;
        to->classes = mem_grow(to->classes, to->class_cap, sizeof *to->classes);
    }
    to->classes[to->class_count] = *c;
    (void)emit(p, (struct step){OP_CLASS, to->class_count++, 0});
}

static bool parse_either(struct parser *p);

static bool parse_group(struct parser *p)
{
    if (++p->depth > DEPTH_MAX) {
        return fail(p);
    }
    if (take(p, '?') && !take(p, ':')) {
        return fail(p); /* flags, names, look-around */
    }
    bool good = parse_either(p) && (take(p, ')') || fail(p));
    p->depth--;
    return good;
}

static bool parse_atom(struct parser *p)
{
    int c = peek(p);
    struct class found = {{0}};
    int ignored;

    p->at++;
    switch (c) {
    case '(':
        return parse_group(p);
    case '^':
        (void)emit(p, (struct step){OP_BEGIN, 0, 0});
        return !p->failed;
    case '$':
        (void)emit(p, (struct step){OP_END, 0, 0});
        return !p->failed;
    case '.':
        class_add(&found, 0, 255);
        break;
    case '[':
        if (!parse_bracket(p, &found)) {
            return false;
        }
        break;
    case '\\':
        if (!parse_escape(p, &found, &ignored)) {
            return false;
        }
        break;
    case '*':
    case '+':
    case '?':
    case '{':
        return fail(p); /* nothing to repeat */
    default:
        class_add(&found, (unsigned)c, (unsigned)c);
    }
    emit_class(p, &found);
    return !p->failed;
}

/* ---- repeating ------------------------------------------------------------------------------- */

static void make_optional(struct parser *p, uint32_t begin)
{
    insert(p, begin);
    if (!p->failed) {
        p->pattern->steps[begin] = (struct step){OP_SPLIT, begin + 1, p->pattern->step_count};
    }
}

static void make_star(struct parser *p, uint32_t begin)
{
    insert(p, begin);
    (void)emit(p, (struct step){OP_JUMP, begin, 0});
    if (!p->failed) {
        p->pattern->steps[begin] = (struct step){OP_SPLIT, begin + 1, p->pattern->step_count};
    }
}

/* The steps from `from` to `to` once more, at the end. */
static uint32_t again(struct parser *p, uint32_t from, uint32_t to)
{
    uint32_t begin = p->pattern->step_count;

    for (uint32_t i = from; i < to && !p->failed; i++) {
        struct step step = p->pattern->steps[i];
        if (step.op == OP_SPLIT || step.op == OP_JUMP) {
            step.a += begin - from;
            step.b += begin - from;
        }
        (void)emit(p, step);
    }
    return begin;
}

static bool parse_number(struct parser *p, uint32_t *out)
{
    uint32_t value = 0;
    size_t begin = p->at;

    while (peek(p) >= '0' && peek(p) <= '9' && value <= REPEAT_MAX) {
        value = value * 10 + (uint32_t)(peek(p) - '0');
        p->at++;
    }
    *out = value;
    return (p->at > begin && value <= REPEAT_MAX) || fail(p);
}

/* The atom since `begin` is there once already. */
static void repeat(struct parser *p, uint32_t begin, uint32_t least, uint32_t most, bool endless)
{
    uint32_t end = p->pattern->step_count;

    if (most == 0 && !endless) {
        p->pattern->step_count = begin;
        return;
    }
    for (uint32_t i = 1; i < least; i++) {
        (void)again(p, begin, end);
    }
    if (endless) {
        uint32_t last = least > 0 ? again(p, begin, end) : begin;
        make_star(p, last);
        return;
    }
    uint32_t from = least > 0 ? least : 1;
    for (uint32_t i = from; i < most; i++) {
        make_optional(p, again(p, begin, end));
    }
    if (least == 0) {
        make_optional(p, begin);
    }
}

static bool parse_repeat(struct parser *p, uint32_t begin)
{
    int c = peek(p);
    uint32_t least = c == '+' ? 1 : 0;
    uint32_t most = 1;
    bool endless = c == '*' || c == '+';

    p->at++;
    if (c == '{') {
        if (!parse_number(p, &least)) {
            return false;
        }
        most = least;
        if (take(p, ',')) {
            endless = peek(p) == '}';
            if (!endless && (!parse_number(p, &most) || most < least)) {
                return fail(p);
            }
        }
        if (!take(p, '}')) {
            return fail(p);
        }
    }
    (void)take(p, '?'); /* lazy: the whole name matches or does not */
    repeat(p, begin, least, most, endless);
    return !p->failed;
}

static bool is_repeat(int c)
{
    return c == '*' || c == '+' || c == '?' || c == '{';
}

static bool parse_sequence(struct parser *p)
{
    while (peek(p) >= 0 && peek(p) != '|' && peek(p) != ')') {
        uint32_t begin = p->pattern->step_count;
        if (!parse_atom(p)) {
            return false;
        }
        if (is_repeat(peek(p)) && !parse_repeat(p, begin)) {
            return false;
        }
        if (is_repeat(peek(p))) {
            return fail(p); /* twice */
        }
    }
    return !p->failed;
}

static bool parse_either(struct parser *p)
{
    uint32_t begin = p->pattern->step_count;

    if (!parse_sequence(p)) {
        return false;
    }
    while (take(p, '|')) {
        insert(p, begin);
        uint32_t jump = emit(p, (struct step){OP_JUMP, 0, 0});
        if (p->failed) {
            return false;
        }
        p->pattern->steps[begin] = (struct step){OP_SPLIT, begin + 1, jump + 1};
        if (!parse_sequence(p)) {
            return false;
        }
        p->pattern->steps[jump].a = p->pattern->step_count;
    }
    return true;
}

struct pattern *pattern_new(struct slice text)
{
    struct parser p = {.in = text, .pattern = mem_new(sizeof *p.pattern)};
    struct pattern *pattern = p.pattern;

    bool good = parse_either(&p) && p.at == text.len;
    (void)emit(&p, (struct step){OP_MATCH, 0, 0});
    if (!good || p.failed) {
        pattern_free(pattern);
        return NULL;
    }
    pattern->now = mem_new(pattern->step_count * sizeof(uint32_t));
    pattern->next = mem_new(pattern->step_count * sizeof(uint32_t));
    pattern->seen = mem_new(pattern->step_count * sizeof(uint32_t));
    pattern->stack = mem_new((2 * (size_t)pattern->step_count + 2) * sizeof(uint32_t));
    return pattern;
}

void pattern_free(struct pattern *pattern)
{
    free(pattern->steps);
    free(pattern->classes);
    free(pattern->now);
    free(pattern->next);
    free(pattern->seen);
    free(pattern->stack);
    free(pattern);
}

/* ---- matching -------------------------------------------------------------------------------- */

/* All places that `from` leads to without a character. */
static void reach(struct pattern *p, uint32_t from, bool begins, bool ends, uint32_t *to,
                  uint32_t *count)
{
    uint32_t depth = 0;

    p->stack[depth++] = from;
    while (depth > 0) {
        uint32_t at = p->stack[--depth];
        if (p->seen[at] == p->round) {
            continue;
        }
        p->seen[at] = p->round;
        const struct step *step = &p->steps[at];
        switch (step->op) {
        case OP_SPLIT:
            p->stack[depth++] = step->a;
            p->stack[depth++] = step->b;
            break;
        case OP_JUMP:
            p->stack[depth++] = step->a;
            break;
        case OP_BEGIN:
        case OP_END:
            if (step->op == OP_BEGIN ? begins : ends) {
                p->stack[depth++] = at + 1;
            }
            break;
        case OP_CLASS:
        case OP_MATCH:
            to[(*count)++] = at;
            break;
        }
    }
}

bool pattern_matches(struct pattern *p, struct slice name)
{
    uint32_t count = 0;

    p->round++;
    reach(p, 0, true, name.len == 0, p->now, &count);
    for (size_t i = 0; i < name.len && count > 0; i++) {
        uint32_t next_count = 0;
        p->round++;
        for (uint32_t k = 0; k < count; k++) {
            const struct step *step = &p->steps[p->now[k]];
            const struct class *c = &p->classes[step->a];
            if (step->op == OP_CLASS && (c->bits[name.base[i] / 32] >> (name.base[i] % 32) & 1)) {
                reach(p, p->now[k] + 1, false, i + 1 == name.len, p->next, &next_count);
            }
        }
        uint32_t *swap = p->now;
        p->now = p->next;
        p->next = swap;
        count = next_count;
    }
    for (uint32_t k = 0; k < count; k++) {
        if (p->steps[p->now[k]].op == OP_MATCH) {
            return true;
        }
    }
    return false;
}

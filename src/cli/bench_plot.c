/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_plot.h"

#include <math.h>
#include <stdio.h>

#define WIDTH  900.0
#define LEFT   80.0
#define RIGHT  880.0
#define HEIGHT 800.0

static const char *const colours[] = {"#1f77b4", "#ff7f0e", "#d62728"};

/* A panel of the picture: values run over x0..x1 and y0..y1; a logarithmic y is given as log10. */
struct panel {
    FILE *out;
    double top;
    double bottom;
    double x0, x1;
    double y0, y1;
};

static double at_x(const struct panel *p, double x)
{
    return LEFT + (x - p->x0) / (p->x1 - p->x0) * (RIGHT - LEFT);
}

static double at_y(const struct panel *p, double y)
{
    y = y < p->y0 ? p->y0 : y > p->y1 ? p->y1 : y;
    return p->bottom - (y - p->y0) / (p->y1 - p->y0) * (p->bottom - p->top);
}

static void text(FILE *out, double x, double y, const char *anchor, const char *words)
{
    (void)fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    for (; *words != '\0'; words++) {
        if (*words == '<') {
            (void)fputs("&lt;", out);
        } else if (*words == '&') {
            (void)fputs("&amp;", out);
        } else {
            (void)fputc(*words, out);
        }
    }
    (void)fputs("</text>\n", out);
}

static void rule(FILE *out, double x0, double y0, double x1, double y1)
{
    (void)fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ccc\"/>\n",
                  x0, y0, x1, y1);
}

static void frame(const struct panel *p, const char *title)
{
    text(p->out, LEFT, p->top - 8, "start", title);
    (void)fprintf(p->out,
                  "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" "
                  "stroke=\"#888\"/>\n",
                  LEFT, p->top, RIGHT - LEFT, p->bottom - p->top);
}

/* Powers of ten of milliseconds. */
static void decades(const struct panel *p)
{
    char label[32];

    for (double y = p->y0; y <= p->y1 + 0.001; y += 1) {
        (void)snprintf(label, sizeof label, "%g ms", pow(10, y));
        rule(p->out, LEFT, at_y(p, y), RIGHT, at_y(p, y));
        text(p->out, LEFT - 6, at_y(p, y) + 4, "end", label);
    }
}

static double log_ms(uint64_t us)
{
    return log10(us > 0 ? (double)us / 1e3 : 1e-3);
}

static void span(struct panel *p, uint64_t low_us, uint64_t high_us)
{
    p->y0 = floor(log_ms(low_us));
    p->y1 = ceil(log_ms(high_us));
    if (p->y1 <= p->y0) {
        p->y1 = p->y0 + 1;
    }
}

/* ---- percentiles: x counts nines ------------------------------------------------------------- */

static void percentile_line(const struct panel *p, const struct bench_hist *hist,
                            const char *colour)
{
    (void)fprintf(p->out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"",
                  colour);
    for (double nines = 0; nines <= p->x1 + 0.001; nines += 0.05) {
        uint32_t parts = (uint32_t)(100000.0 * (1 - pow(10, -nines)) + 0.5);
        (void)fprintf(p->out, "%.1f,%.1f ", at_x(p, nines),
                      at_y(p, log_ms(bench_hist_at(hist, parts))));
    }
    (void)fputs("\"/>\n", p->out);
}

static void percentiles(FILE *out, const struct bench_result *result)
{
    static const char *const names[] = {"0", "90", "99", "99.9", "99.99"};
    struct panel p = {.out = out, .top = 80, .bottom = 320, .x0 = 0, .x1 = 1};
    const struct bench_hist *first = &result->latency;
    const struct bench_hist *second = &result->arrival;
    uint64_t low_us = first->count > 0 ? first->min : second->min;
    uint64_t high_us = first->max > second->max ? first->max : second->max;
    uint64_t count = first->count > second->count ? first->count : second->count;

    while (p.x1 < 4 && pow(10, p.x1 + 1) <= (double)count) {
        p.x1 += 1;
    }
    span(&p, low_us, high_us);
    decades(&p);
    for (size_t i = 0; i < ARRAY_COUNT(names) && (double)i <= p.x1; i++) {
        rule(out, at_x(&p, (double)i), p.top, at_x(&p, (double)i), p.bottom);
        text(out, at_x(&p, (double)i), p.bottom + 16, "middle", names[i]);
    }
    frame(&p, second->count > 0 ? "percentiles: acknowledged (blue), read (orange)"
                                : "percentiles of the latency");
    percentile_line(&p, first, colours[0]);
    if (second->count > 0) {
        percentile_line(&p, second, colours[1]);
    }
}

/* ---- over time ------------------------------------------------------------------------------- */

static uint64_t value_of(const struct bench_interval *interval, size_t which)
{
    switch (which) {
    case 0:
        return interval->p50_us;
    case 1:
        return interval->p99_us;
    default:
        return interval->max_us;
    }
}

static void time_axis(struct panel *p, const struct bench_series *series)
{
    double seconds = (double)series->interval_us / 1e6 * (double)(series->count + 1);
    double step = pow(10, floor(log10(seconds)));
    char label[32];

    p->x0 = 0;
    p->x1 = seconds;
    step = seconds / step < 3 ? step / 5 : step;
    for (double x = 0; x <= seconds; x += step) {
        rule(p->out, at_x(p, x), p->top, at_x(p, x), p->bottom);
        (void)snprintf(label, sizeof label, "%g s", x);
        text(p->out, at_x(p, x), p->bottom + 16, "middle", label);
    }
}

static void latency_over_time(FILE *out, const struct bench_series *series)
{
    struct panel p = {.out = out, .top = 370, .bottom = 560};
    uint64_t low_us = UINT64_MAX;
    uint64_t high_us = 0;

    for (size_t i = 0; i < series->count; i++) {
        const struct bench_interval *at = &series->at[i];
        if (at->count > 0) {
            low_us = at->p50_us < low_us ? at->p50_us : low_us;
            high_us = at->max_us > high_us ? at->max_us : high_us;
        }
    }
    span(&p, low_us == UINT64_MAX ? 0 : low_us, high_us);
    time_axis(&p, series);
    decades(&p);
    frame(&p, "latency over time, each 100 ms: p50 (blue), p99 (orange), max (red)");
    for (size_t which = 0; which < ARRAY_COUNT(colours); which++) {
        (void)fprintf(out, "<g stroke=\"%s\" stroke-width=\"1.2\" fill=\"none\">\n",
                      colours[which]);
        bool open = false; /* nothing is drawn where nothing came */
        for (size_t i = 0; i < series->count; i++) {
            if (series->at[i].count == 0) {
                (void)fputs(open ? "\"/>\n" : "", out);
                open = false;
                continue;
            }
            (void)fputs(open ? "" : "<polyline stroke-linecap=\"round\" points=\"", out);
            open = true;
            double x = at_x(&p, ((double)i + 0.5) * (double)series->interval_us / 1e6);
            double y = at_y(&p, log_ms(value_of(&series->at[i], which)));
            (void)fprintf(out, "%.1f,%.1f %.1f,%.1f ", x, y, x + 0.1, y);
        }
        (void)fputs(open ? "\"/>\n</g>\n" : "</g>\n", out);
    }
}

static void rate_over_time(FILE *out, const struct bench_series *series)
{
    struct panel p = {.out = out, .top = 610, .bottom = 760, .y0 = 0, .y1 = 1};
    double seconds = (double)series->interval_us / 1e6;
    char label[32];

    for (size_t i = 0; i < series->count; i++) {
        double rate = (double)series->at[i].count / seconds;
        p.y1 = rate > p.y1 ? rate : p.y1;
    }
    time_axis(&p, series);
    for (int i = 0; i <= 4; i++) {
        double y = p.y1 * i / 4;
        rule(out, LEFT, at_y(&p, y), RIGHT, at_y(&p, y));
        (void)snprintf(label, sizeof label, "%.0f", y);
        text(out, LEFT - 6, at_y(&p, y) + 4, "end", label);
    }
    frame(&p, "records a second");
    (void)fprintf(out, "<polyline fill=\"none\" stroke=\"%s\" points=\"", colours[0]);
    for (size_t i = 0; i < series->count; i++) {
        (void)fprintf(out, "%.1f,%.1f ", at_x(&p, ((double)i + 0.5) * seconds),
                      at_y(&p, (double)series->at[i].count / seconds));
    }
    (void)fputs("\"/>\n", out);
}

bool bench_plot_write(const struct bench_plan *plan, const struct bench_result *result,
                      const char *path)
{
    FILE *out = fopen(path, "w");
    char title[256];
    char load[96] = "as fast as it goes";

    if (out == NULL) {
        return false;
    }
    if (plan->rate > 0) {
        (void)snprintf(load, sizeof load, "%u a second", plan->rate);
    }
    (void)snprintf(title, sizeof title, "tern bench %s: %.80s, %u partitions, %u bytes, %s",
                   plan->what, plan->settings.topic, result->partitions, plan->settings.size, load);
    (void)fprintf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
                  "font-family=\"sans-serif\" font-size=\"12\">\n"
                  "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
                  WIDTH, HEIGHT);
    text(out, LEFT, 30, "start", title);
    if (result->latency.count + result->arrival.count > 0) {
        percentiles(out, result);
    }
    if (result->over_time.count > 0) {
        latency_over_time(out, &result->over_time);
        rate_over_time(out, &result->over_time);
    }
    (void)fputs("</svg>\n", out);
    bool good = ferror(out) == 0;
    return fclose(out) == 0 && good;
}

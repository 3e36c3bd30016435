// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See plot.h. Lengths are in pixels; colours are Okabe and Ito's (Color Universal Design, 2008). */
#include "cmd/plot.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define WIDTH 960.0
#define LEFT 72.0
#define RIGHT 16.0
#define HEAD 64.0
#define PANEL 230.0 /* of which the curves have */
#define CURVES 150.0
#define ABOVE 34.0
#define FOOT 24.0
#define LEGEND_MOST 16 /* more names say nothing */
#define LEGEND_WIDTH 52.0
#define TICKS 4
#define TIME_TICKS 6
#define LETTER 6.0 /* about, of small text */

static const char *const colours[] = { "#0072B2", "#D55E00", "#009E73", "#CC79A7",
				       "#E69F00", "#56B4E9", "#000000", "#999999" };
/* With the second eight curves on, other lines. */
static const char *const dashes[] = { "none", "6 3", "2 3", "8 3 2 3" };
#define NR_COLOURS (sizeof(colours) / sizeof(colours[0]))
#define NR_DASHES (sizeof(dashes) / sizeof(dashes[0]))

/* As attributes: a browser that is told to trust no style, as by lbctl export, reads them, too. */
static const struct {
	const char *class, *attributes;
} looks[] = {
	{ "title", "font-size=\"16\" font-weight=\"bold\"" },
	{ "panel", "font-size=\"13\" font-weight=\"bold\"" },
	{ "axis", "font-size=\"11\"" },
	{ "tick", "font-size=\"11\"" },
	{ "grid", "stroke=\"#ddd\"" },
	{ "base", "stroke=\"#666\"" },
	{ "event", "stroke=\"#666\" stroke-dasharray=\"3 3\"" },
	{ "curve", "fill=\"none\" stroke-width=\"1.6\" stroke-linecap=\"round\"" },
	{ "key", "fill=\"none\" stroke-width=\"1.6\"" },
};

struct scale {
	double first, last; /* times */
	double most;	    /* of the panel's values, where its axis ends */
	double top;	    /* of the panel's curves */
};

static void put_class(FILE *out, const char *class)
{
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		if (!strcmp(looks[i].class, class))
			fprintf(out, " class=\"%s\" %s", class, looks[i].attributes);
	}
}

/* As text of XML; a character that XML does not have is left out. */
static void put_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		default:
			if ((unsigned char)*text >= ' ')
				fputc(*text, out);
		}
	}
}

static void put_label(FILE *out, double x, double y, const char *anchor, const char *class,
		      const char *text)
{
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"", x, y, anchor);
	put_class(out, class);
	fputc('>', out);
	put_text(out, text);
	fputs("</text>\n", out);
}

static void put_line(FILE *out, double x1, double y1, double x2, double y2, const char *class)
{
	fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"", x1, y1, x2, y2);
	put_class(out, class);
	fputs("/>\n", out);
}

/* The begin of a path, up to its points. */
static void put_path(FILE *out, const char *class, size_t number)
{
	fputs("<path", out);
	put_class(out, class);
	fprintf(out, " stroke=\"%s\" stroke-dasharray=\"%s\" d=\"", colours[number % NR_COLOURS],
		dashes[number / NR_COLOURS % NR_DASHES]);
}

static double x_of(const struct scale *scale, double time)
{
	double span = scale->last - scale->first;
	double share = span > 0 ? (time - scale->first) / span : 0;

	return LEFT + share * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct scale *scale, double value)
{
	return scale->top + CURVES * (1 - value / scale->most);
}

/* The next of 1, 2, 4, 10, 20, 40 ... from there: TICKS parts of it are round, too. */
static double round_up(double value)
{
	double power, step;

	if (!(value > 0))
		return 1;
	power = pow(10, floor(log10(value)));
	step = value / power;
	return power * (step <= 1 ? 1 : step <= 2 ? 2 : step <= 4 ? 4 : step <= 8 ? 8 : 10);
}

static double most_of(const struct plot *plot, const struct plot_panel *panel)
{
	double most = 0;

	for (size_t i = 0; i < panel->nr_curves; i++) {
		for (size_t j = 0; j < plot->nr_times; j++) {
			double value = panel->curves[i].values[j];

			if (isfinite(value) && value > most)
				most = value;
		}
	}
	return round_up(most);
}

static void put_axes(FILE *out, const struct scale *scale, const struct plot_panel *panel)
{
	double bottom = scale->top + CURVES;
	char text[32];

	put_label(out, LEFT, scale->top - 14, "start", "panel", panel->title);
	fprintf(out, "<text transform=\"translate(16 %.1f) rotate(-90)\" text-anchor=\"middle\"",
		scale->top + CURVES / 2);
	put_class(out, "axis");
	fputc('>', out);
	put_text(out, panel->label);
	fputs("</text>\n", out);
	for (int i = 0; i <= TICKS; i++) {
		double value = scale->most * i / TICKS, y = y_of(scale, value);

		snprintf(text, sizeof(text), "%.4g", value);
		put_line(out, LEFT, y, WIDTH - RIGHT, y, i ? "grid" : "base");
		put_label(out, LEFT - 6, y + 4, "end", "tick", text);
	}
	for (int i = 0; i <= TIME_TICKS; i++) {
		double at = scale->first + (scale->last - scale->first) * i / TIME_TICKS;
		time_t seconds = (time_t)floor(at + 0.5);
		struct tm local;

		strftime(text, sizeof(text), "%H:%M:%S", localtime_r(&seconds, &local));
		put_label(out, x_of(scale, at), bottom + 16,
			  i == TIME_TICKS ? "end" :
			  i		  ? "middle" :
					    "start",
			  "tick", text);
	}
}

static void put_curve(FILE *out, const struct plot *plot, const struct scale *scale,
		      const struct plot_curve *curve, size_t number)
{
	char pen = 'M';

	put_path(out, "curve", number);
	for (size_t i = 0; i < plot->nr_times; i++) {
		if (!isfinite(curve->values[i])) {
			pen = 'M';
			continue;
		}
		fprintf(out, "%c%.1f %.1f", pen, x_of(scale, plot->times[i]),
			y_of(scale, curve->values[i]));
		/* one alone between gaps is a dot */
		if (pen == 'M' && (i + 1 == plot->nr_times || !isfinite(curve->values[i + 1])))
			fputs("h0.1", out);
		pen = 'L';
	}
	fputs("\"><title>", out);
	put_text(out, curve->name);
	fputs("</title></path>\n", out);
}

/* At the right of the panel's title. */
static void put_legend(FILE *out, const struct scale *scale, const struct plot_panel *panel)
{
	size_t n = panel->nr_curves < LEGEND_MOST ? panel->nr_curves : LEGEND_MOST;
	double x = WIDTH - RIGHT - n * LEGEND_WIDTH, y = scale->top - 14;
	char more[32];

	for (size_t i = 0; i < n; i++, x += LEGEND_WIDTH) {
		put_path(out, "key", i);
		fprintf(out, "M%.1f %.1fh14\"/>\n", x, y - 4);
		put_label(out, x + 18, y, "start", "tick", panel->curves[i].name);
	}
	if (panel->nr_curves <= n)
		return;
	snprintf(more, sizeof(more), "and %zu more", panel->nr_curves - n);
	put_label(out, WIDTH - RIGHT, y - 14, "end", "tick", more);
}

/* Lines through all panels; words where there is room for them. */
static void put_marks(FILE *out, const struct plot *plot, const struct scale *scale, double bottom)
{
	double free_from = LEFT;

	for (size_t i = 0; i < plot->nr_marks; i++) {
		const struct plot_mark *mark = &plot->marks[i];
		double x = x_of(scale, mark->time);

		if (!(mark->time >= scale->first && mark->time <= scale->last))
			continue;
		fprintf(out, "<g class=\"mark\"><title>");
		put_text(out, mark->text);
		fputs("</title>\n", out);
		put_line(out, x, HEAD - 4, x, bottom, "event");
		if (x >= free_from) {
			put_label(out, x, HEAD - 8, "start", "tick", mark->text);
			free_from = x + LETTER * (strlen(mark->text) + 2);
		}
		fputs("</g>\n", out);
	}
}

void plot_write(FILE *out, const struct plot *plot)
{
	double height = HEAD + plot->nr_panels * PANEL + FOOT;
	struct scale scale = { 0, 0, 1, 0 };

	if (plot->nr_times) {
		scale.first = plot->times[0];
		scale.last = plot->times[plot->nr_times - 1];
	}
	fprintf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
		"viewBox=\"0 0 %.0f %.0f\" role=\"img\" fill=\"#222\" font-family=\"sans-serif\">\n"
		"<title>",
		WIDTH, height, WIDTH, height);
	put_text(out, plot->title);
	fputs("</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n", out);
	put_label(out, LEFT, 24, "start", "title", plot->title);
	put_label(out, LEFT, 42, "start", "tick", plot->subtitle);
	for (size_t i = 0; i < plot->nr_panels; i++) {
		const struct plot_panel *panel = &plot->panels[i];

		scale.top = HEAD + i * PANEL + ABOVE;
		scale.most = most_of(plot, panel);
		put_axes(out, &scale, panel);
		put_legend(out, &scale, panel);
		for (size_t j = 0; j < panel->nr_curves; j++)
			put_curve(out, plot, &scale, &panel->curves[j], j);
	}
	put_marks(out, plot, &scale, height - PANEL + ABOVE + CURVES - FOOT);
	fputs("</svg>\n", out);
}

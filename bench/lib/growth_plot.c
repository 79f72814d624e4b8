/* SPDX-License-Identifier: MIT */
/* The plot of bench/growth, as SVG: for each case a panel with two lines over the sizes. */
#include <math.h>
#include <stdio.h>

#include "bench.h"
#include "growth.h"

#define WIDTH 220 /* of a panel */
#define HEIGHT 180
#define MARGIN 40
#define TOP 4.0 /* the ratio at the upper edge */

static double x_of(size_t size)
{
	return MARGIN + (log10((double)size) - 1) / 5 * (WIDTH - MARGIN - 10);
}

static double y_of(double ratio)
{
	return HEIGHT - MARGIN - fmin(ratio, TOP) / TOP * (HEIGHT - 2 * MARGIN);
}

static void line(FILE *svg, const double *values, const size_t *sizes, const char *color)
{
	size_t i;

	fprintf(svg, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"", color);
	for (i = 0; i < GROWTH_SIZES; i++)
		fprintf(svg, "%.1f,%.1f ", x_of(sizes[i]), y_of(values[i] / values[0]));
	fputs("\"/>\n", svg);
}

static void panel(FILE *svg, const struct growth_case *c, const size_t *sizes, size_t place)
{
	size_t i;
	int ratio;

	fprintf(svg, "<g transform=\"translate(%zu,0)\">\n<text x=\"%d\" y=\"20\">%s</text>\n",
		place * WIDTH, MARGIN, c->name);
	for (ratio = 0; ratio <= (int)TOP; ratio++)
		fprintf(svg, "<path stroke=\"#ccc\" d=\"M%d %.1fH%d\"/>"
			     "<text x=\"8\" y=\"%.1f\">%d x</text>\n",
			MARGIN, y_of(ratio), WIDTH - 10, y_of(ratio) + 4, ratio);
	for (i = 0; i < GROWTH_SIZES; i++)
		fprintf(svg, "<text text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">1e%.0f</text>\n",
			x_of(sizes[i]), HEIGHT - MARGIN + 16, log10((double)sizes[i]));
	line(svg, c->ns, sizes, "#c60");
	line(svg, c->instructions, sizes, "#06c");
	fputs("</g>\n", svg);
}

void growth_plot(const char *path, const struct growth_case *cases, const size_t *sizes)
{
	FILE *svg = fopen(path, "w");
	size_t i;

	if (svg == NULL)
		bench_die("cannot write %s", path);
	fprintf(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		     "font-family=\"sans-serif\" font-size=\"11\">\n"
		     "<text x=\"%d\" y=\"%d\">Of what it takes with the fewest tasks alive: "
		     "<tspan fill=\"#06c\">instructions</tspan>, "
		     "<tspan fill=\"#c60\">time</tspan></text>\n",
		WIDTH * (GROWTH_CASES - 1), HEIGHT, MARGIN, HEIGHT - 4);
	for (i = 1; i < GROWTH_CASES; i++)
		panel(svg, &cases[i], sizes, i - 1);
	fputs("</svg>\n", svg);
	if (fclose(svg) != 0)
		bench_die("cannot write %s", path);
}

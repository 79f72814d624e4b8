/* SPDX-License-Identifier: MIT */
/* SVG, written by hand. */
#include "plot.h"

#include <math.h>
#include <stdio.h>

#include "bench.h"

#define WIDTH 220 /* of a panel */
#define HEIGHT 180
#define ROW 6 /* panels beside each other */
#define MARGIN 40
#define TOP_MAX 4.0 /* the ratio at the upper edge, at the most */

static const char *const colors[PLOT_LINES] = {"#06c", "#c60", "#090", "#909"};

static double x_of(double place)
{
	return MARGIN + place * (WIDTH - MARGIN - 20);
}

static double y_of(double ratio, double top)
{
	return HEIGHT - MARGIN - fmin(ratio, top) / top * (HEIGHT - 2 * MARGIN);
}

/* A whole ratio that is above all of them. */
static double top_of(const struct plot_panel *p, size_t lines)
{
	double most = 1;
	size_t i, k;

	for (i = 0; i < lines; i++)
		for (k = 0; k < p->points; k++)
			most = fmax(most, p->ratio[i][k]); /* NAN is less */
	return fmin(ceil(most), TOP_MAX);
}

static void draw_line(FILE *svg, const struct plot_panel *p, size_t line, double top)
{
	size_t i;

	fprintf(svg, "<g fill=\"%s\" stroke=\"%s\">", colors[line], colors[line]);
	fputs("<polyline fill=\"none\" stroke-width=\"2\" points=\"", svg);
	for (i = 0; i < p->points; i++)
		if (!isnan(p->ratio[line][i]))
			fprintf(svg, "%.1f,%.1f ", x_of(p->place[i]), y_of(p->ratio[line][i], top));
	fputs("\"/>", svg);
	for (i = 0; i < p->points; i++)
		if (!isnan(p->ratio[line][i]))
			fprintf(svg, "<circle r=\"2\" cx=\"%.1f\" cy=\"%.1f\"/>", x_of(p->place[i]),
				y_of(p->ratio[line][i], top));
	fputs("</g>\n", svg);
}

static void draw_panel(FILE *svg, const struct plot_panel *p, size_t lines)
{
	double top = top_of(p, lines);
	size_t i;
	int ratio;

	fprintf(svg, "<text x=\"%d\" y=\"20\">%s</text>\n", MARGIN, p->title);
	for (ratio = 0; ratio <= (int)top; ratio++)
		fprintf(svg, "<path stroke=\"#ccc\" d=\"M%d %.1fH%d\"/>"
			     "<text x=\"8\" y=\"%.1f\">%d x</text>\n",
			MARGIN, y_of(ratio, top), WIDTH - 10, y_of(ratio, top) + 4, ratio);
	for (i = 0; i < p->points; i++) {
		fprintf(svg, "<text text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">%s</text>\n",
			x_of(p->place[i]), HEIGHT - MARGIN + 16, p->label[i]);
		if (p->goal[i] > 0)
			fprintf(svg, "<path stroke=\"#000\" d=\"M%.1f %.1fh16\"/>\n",
				x_of(p->place[i]) - 8, y_of(p->goal[i], top));
	}
	for (i = 0; i < lines; i++)
		draw_line(svg, p, i, top);
}

void plot_write(const char *path, const char *caption, const char *const *names, size_t lines,
		const struct plot_panel *panels, size_t count)
{
	size_t rows = (count + ROW - 1) / ROW, i;
	FILE *svg = fopen(path, "w");

	if (svg == NULL)
		bench_die("cannot write %s", path);
	fprintf(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%zu\" height=\"%zu\" "
		     "font-family=\"sans-serif\" font-size=\"11\">\n<text x=\"%d\" y=\"%zu\">%s",
		WIDTH * (count < ROW ? count : ROW), HEIGHT * rows + 20, MARGIN,
		HEIGHT * rows + 10, caption);
	for (i = 0; i < lines; i++)
		fprintf(svg, "%s <tspan fill=\"%s\">%s</tspan>", i > 0 ? "," : "", colors[i],
			names[i]);
	fputs("</text>\n", svg);
	for (i = 0; i < count; i++) {
		fprintf(svg, "<g transform=\"translate(%zu,%zu)\">\n", i % ROW * WIDTH,
			i / ROW * HEIGHT);
		draw_panel(svg, &panels[i], lines);
		fputs("</g>\n", svg);
	}
	fputs("</svg>\n", svg);
	if (fclose(svg) != 0)
		bench_die("cannot write %s", path);
	printf("The plot: %s\n", path);
}

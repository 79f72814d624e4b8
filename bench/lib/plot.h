/* SPDX-License-Identifier: MIT */
/* Drawings of ratios, as SVG: panels side by side, each with the same lines over its own points. */
#ifndef PLOT_H
#define PLOT_H

#include <stddef.h>

#define PLOT_POINTS 6
#define PLOT_LINES 4

struct plot_panel {
	char title[64];
	size_t points;
	char label[PLOT_POINTS][16];
	double place[PLOT_POINTS];             /* from left to right: 0 to 1 */
	double ratio[PLOT_LINES][PLOT_POINTS]; /* NAN: none */
	double goal[PLOT_POINTS];              /* a dash; 0: there is none */
};

/* `names`: of the lines; the first is blue, the second orange. */
void plot_write(const char *path, const char *caption, const char *const *names, size_t lines,
		const struct plot_panel *panels, size_t count);

#endif

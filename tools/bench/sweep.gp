# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# gnuplot -c sweep.gp KNEE LOW HIGH USERS TITLE: draws sweep.dat of this folder into sweep.svg and
# sweep.png. KNEE 0: there is none. USERS: of the second block, 0: there is none.
# Colours: Okabe and Ito, told apart with every kind of colour blindness; lines differ in points too.
knee = ARG1 + 0; low = ARG2 + 0; high = ARG3 + 0; users = ARG4 + 0; title = ARG5
blue = '#0072B2'; orange = '#D55E00'; green = '#009E73'; grey = '#555555'

words = knee > 0 ? sprintf("\nknee (Kneedle, dotted): %d users; advised (shaded): %d to %d", knee, low, high) : ""
rows = users > 0 ? 4 : 2
height = users > 0 ? 1150 : 640

set style line 1 lc rgb blue   lw 2.5 pt 7 ps 0.9
set style line 2 lc rgb orange lw 2.5 pt 5 ps 0.9
set style line 3 lc rgb green  lw 1.5 pt 8 ps 0.9 dt 2
set grid xtics ytics lt 1 lc rgb '#d0d0d0' lw 1
set border 3
set tics nomirror out
set logscale x
set lmargin 12
set rmargin 4
set yrange [0:*]
set key outside top right horizontal noenhanced

do for [kind in 'svg png'] {
	if (kind eq 'svg') {
		set terminal svg size 900,height font 'DejaVu Sans,13' background '#ffffff'
	} else {
		set terminal pngcairo size 900,height font 'DejaVu Sans,11' background '#ffffff'
	}
	set output 'sweep.'.kind
	set multiplot layout rows,1 title title.words noenhanced font ',13'

	unset object; unset arrow
	if (knee > 0) {
		set object 1 rect from first low, graph 0 to first high, graph 1 fc rgb '#F0E442' fs solid 0.35 noborder behind
		set arrow 1 from first knee, graph 0 to first knee, graph 1 nohead lc rgb grey lw 2 dt 3
	}
	set xlabel 'users'
	set ylabel 'requests/s'
	plot 'sweep.dat' index 0 using 1:2 with linespoints ls 1 title 'throughput'
	set ylabel 'ms'
	set logscale y
	set yrange [*:*]
	plot 'sweep.dat' index 0 using 1:3 with linespoints ls 2 title 'response time, mean', \
	     'sweep.dat' index 0 using 1:4 with linespoints ls 3 title '99 % are faster'

	unset logscale y
	set yrange [0:*]
	if (users > 0) {
		unset object; unset arrow
		set xlabel sprintf('requests of each of %d users', users)
		set ylabel 'requests/s'
		plot 'sweep.dat' index 1 using 1:2 with linespoints ls 1 title 'throughput'
		set ylabel 'ms'
		plot 'sweep.dat' index 1 using 1:3 with linespoints ls 2 title 'response time, mean', \
		     'sweep.dat' index 1 using 1:4 with linespoints ls 3 title '99 % are faster'
	}
	unset multiplot
	set output
}

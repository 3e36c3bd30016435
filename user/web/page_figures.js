// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Rates and times of the samples that the page keeps, and heat maps of them.

function before(service, seconds) {
	const { samples } = service;
	return samples[Math.max(0, samples.length - 1 - seconds)];
}

// Per second since so many samples ago; a counter that began anew counts nothing.
function rate(now, then, get) {
	const seconds = (now.time_ms - then.time_ms) / 1000;
	return seconds > 0 ? Math.max(0, get(now) - get(then)) / seconds : 0;
}

const selectedOf = (worker) => (sample) => sample.workers[worker] ? sample.workers[worker].selected : 0;

// Of the time since then; null where it is not known.
function busyShare(now, then, worker) {
	const of = (sample, key) => {
		const latency = sample.workers[worker] && sample.workers[worker].latency;
		return latency ? latency[key] : 0;
	};
	const watched = of(now, "watched_us") - of(then, "watched_us");
	return watched > 0 ? Math.max(0, of(now, "busy_us") - of(then, "busy_us")) / watched : null;
}

function latencyDelta(now, then) {
	const counts = new Map();
	const sum = (sample, sign, worker) => {
		const latency = sample.workers[worker] && sample.workers[worker].latency;
		for (const [bound, count] of latency ? latency.first_byte.buckets_ns : [])
			counts.set(bound, (counts.get(bound) || 0) + sign * count);
	};
	return (worker) => {
		counts.clear();
		for (let i = 0; i < now.workers.length; i++) {
			if (worker !== "" && i !== Number(worker)) continue;
			sum(now, 1, i);
			sum(then, -1, i);
		}
		return new Map(counts);
	};
}

function quantile(counts, share) {
	const bounds = [...counts].filter(([, count]) => count > 0).sort((a, b) => (a[0] ?? Infinity) - (b[0] ?? Infinity));
	let left = share * bounds.reduce((sum, [, count]) => sum + count, 0);
	for (const [bound, count] of bounds) {
		left -= count;
		if (left <= 0) return bound;
	}
	return null;
}

// --- heat maps ---

function Figure(title, of) {
	const canvas = make("canvas", { role: "img" }), scale = make("span");
	const caption = make("figcaption", {}, title);
	if (of) caption.append(of);
	const element = make("figure", {}, caption, canvas, make("div", { className: "scale" },
		make("span", {}, "5 minutes ago"), scale, make("span", {}, "now")));
	return { element, canvas, scale };
}

// Lines across a heat map, and what they stand for: [height from 0 to 1, text].
function rule(figure, draw, lines) {
	const { canvas } = figure, scale = window.devicePixelRatio || 1, style = getComputedStyle(canvas);
	draw.font = `${11 * scale}px ${style.fontFamily}`;
	for (const [at, text] of lines) {
		const y = Math.round(canvas.height * (1 - at));
		if (y < 16 * scale) continue; // its text would be below
		const width = draw.measureText(text).width + 8 * scale;
		draw.fillStyle = style.getPropertyValue("--line");
		draw.fillRect(0, y, canvas.width, scale);
		draw.fillStyle = style.getPropertyValue("--track");
		draw.fillRect(0, y - 14 * scale, width, 14 * scale);
		draw.fillStyle = style.getPropertyValue("--dim");
		draw.fillText(text, 4 * scale, y - 3 * scale);
	}
}

// Cells of a heat map: columns of time, rows from the bottom; a value of 0 to 1 or nothing.
function paint(figure, columns, rows, value, lines = []) {
	figure.canvas.style.height = Math.min(220, Math.max(48, rows * 14)) + "px";
	const { canvas } = figure, scale = window.devicePixelRatio || 1;
	const width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
	if (!width || !rows) return;
	if (canvas.width !== width) canvas.width = width;
	if (canvas.height !== height) canvas.height = height;
	const draw = canvas.getContext("2d");
	const heat = getComputedStyle(document.documentElement).getPropertyValue("--heat");
	const w = width / KEPT, h = height / rows;
	draw.clearRect(0, 0, width, height);
	for (let x = 0; x < columns.length; x++) {
		const left = width - (columns.length - x) * w;
		for (let y = 0; y < rows; y++) {
			const much = value(columns[x], y);
			if (!much) continue;
			draw.fillStyle = `rgba(${heat}, ${(0.12 + 0.88 * Math.min(1, much)).toFixed(3)})`;
			draw.fillRect(left, height - (y + 1) * h, Math.ceil(w), Math.ceil(h - (rows < 40 ? 1 : 0)));
		}
	}
	rule(figure, draw, lines);
}

function drawSpread(service) {
	const { samples, spread, now } = service, columns = samples.slice(1).map((sample, i) => {
		return now.workers.map((w, worker) => rate(sample, samples[i], selectedOf(worker)));
	});
	// one moment out of the ordinary is not to make the rest pale
	const all = columns.flat().sort((a, b) => a - b);
	const most = Math.max(1, all[Math.floor(0.99 * (all.length - 1))] || 0);
	paint(spread, columns, now.workers.length, (column, y) => column[y] / most);
	put(spread.scale, `full colour: ${number(most)}/s`);
	spread.canvas.setAttribute("aria-label", `Heat map of connections per second over time, the most ${number(most)}`);
}

// Round times in between: powers of ten, or with few of them their double and fivefold as well.
function ticks(least, most) {
	const tens = Array.from({ length: 8 }, (_, i) => 10 ** (i + 4));
	const within = (list) => list.filter((ns) => ns > least * 1.1 && ns <= most);
	return within(tens).length > 2 ? within(tens) : within(tens.flatMap((ns) => [ns, 2 * ns, 5 * ns]));
}

function drawLatency(service) {
	const { samples, heat, measured } = service;
	heat.element.hidden = !measured;
	if (!measured) return;
	while (service.which.options.length > service.now.workers.length + 1) service.which.lastChild.remove();
	for (let i = service.which.options.length - 1; i < service.now.workers.length; i++)
		service.which.append(make("option", { value: String(i) }, "worker " + i));
	const columns = samples.slice(1).map((sample, i) => latencyDelta(sample, samples[i])(service.which.value));
	const bounds = [...new Set(columns.flatMap((column) => [...column].filter(([, n]) => n > 0).map(([bound]) => bound ?? Infinity)))].sort((a, b) => a - b);
	if (!bounds.length) return;
	// rows are steps of 2^(1/4), so that the scale is even
	const row = (bound) => Math.round(4 * Math.log2(bound / bounds[0]));
	const rows = Math.max(8, row(bounds[bounds.length - 1] === Infinity ? bounds[0] * 65536 : bounds[bounds.length - 1]) + 1);
	const most = Math.max(1, ...columns.map((column) => Math.max(0, ...column.values())));
	const cells = columns.map((column) => new Map([...column].map(([bound, count]) => [Math.min(rows - 1, row(bound ?? Infinity)), count])));
	const height = (ns) => (4 * Math.log2(ns / bounds[0]) + 1) / rows;
	paint(heat, cells, rows, (column, y) => Math.log1p(Math.max(0, column.get(y) || 0)) / Math.log1p(most),
		ticks(bounds[0], bounds[0] * 2 ** ((rows - 1) / 4)).map((ns) => [height(ns), duration(ns)]));
	put(heat.scale, `full colour: ${number(most)} a second`);
	heat.canvas.setAttribute("aria-label", `Heat map of the time to the first byte over time, from ${duration(bounds[0])}`);
}

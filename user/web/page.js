// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The page of lbctl export. All it shows comes by /api/events: each second what `lbctl show --json`
// has of every service, and what `lbctl events --json` tells. Text is only ever set as text.
"use strict";

const KEPT = 300; // samples of a service, one a second
const SMOOTH = 5; // over so many seconds a rate is taken
const EVENTS = 200; // lines that are shown

const $ = (id) => document.getElementById(id);
const services = new Map(); // by name
const seen = new Set(); // of events, which are told again after a new connection
let about = { changes: false, policies: [] };
let paused = false, token = "", latest = null;

function make(tag, properties, ...children) {
	const element = document.createElement(tag);
	for (const [key, value] of Object.entries(properties || {})) {
		if (key in element) element[key] = value;
		else element.setAttribute(key, value);
	}
	element.append(...children);
	return element;
}

// Most of what comes each second is as it was.
function put(element, text) {
	if (element.textContent !== text) element.textContent = text;
}

function number(value) {
	if (value >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString("en");
	return value.toFixed(1);
}

function bytes(value) {
	if (!value) return "";
	return value < 1 << 20 ? Math.round(value / 1024) + " K" : Math.round(value / (1 << 20)) + " M";
}

function duration(ns) {
	if (ns < 1e6) return Math.round(ns / 1e3) + " µs";
	return ns < 1e9 ? number(ns / 1e6) + " ms" : number(ns / 1e9) + " s";
}

// --- changes ---

function say(text) {
	put($("said"), text);
	clearTimeout(say.timer);
	say.timer = setTimeout(() => put($("said"), ""), 8000);
}

// Asks, with a number if there is one, and for the token as long as there is none.
function confirmed(text, weight) {
	const dialog = $("ask");
	put($("ask-text"), text);
	$("ask-weight-line").hidden = weight === undefined;
	$("ask-weight").value = weight === undefined ? "" : weight;
	$("ask-token-line").hidden = token !== "";
	$("ask-token").value = "";
	dialog.returnValue = "no";
	dialog.showModal();
	(weight !== undefined ? $("ask-weight") : token ? $("ask-yes") : $("ask-token")).focus();
	$("ask-weight").select();
	return new Promise((resolve) => {
		dialog.onclose = () => {
			if (!token) token = $("ask-token").value.trim();
			resolve(dialog.returnValue === "yes");
		};
	});
}

// Enter does what the question is about, and not the first button.
for (const id of ["ask-token", "ask-weight"]) {
	$(id).addEventListener("keydown", (event) => {
		if (event.key !== "Enter") return;
		event.preventDefault();
		$("ask").close("yes");
	});
}

async function change(question, path, body = {}) {
	if (!await confirmed(question, body.weight)) return false;
	if ("weight" in body) body.weight = Number($("ask-weight").value);
	try {
		const answer = await fetch("api/services/" + path, {
			method: "POST",
			headers: { "Content-Type": "application/json", "Authorization": "Bearer " + token },
			body: JSON.stringify(body),
		});
		const said = await answer.json();
		if (answer.status === 401) token = "";
		say(said.text);
		return answer.ok;
	} catch (error) {
		say("No answer: " + error.message);
		return false;
	}
}

// --- a service ---

function Fact(list, name, title) {
	const value = make("dd", {}, "");
	list.append(make("div", title ? { title } : {}, make("dt", {}, name), value));
	return (text) => put(value, text);
}

function Figure(title, of) {
	const canvas = make("canvas", { role: "img" });
	const low = make("span"), high = make("span");
	const caption = make("figcaption", {}, title);
	if (of) caption.append(of);
	const element = make("figure", {}, caption, canvas,
		make("div", { className: "scale" }, low, make("span", {}, "5 minutes, now at the right"), high));
	return { element, canvas, low, high };
}

// Cells of a heat map: columns of time, rows from the bottom; a value of 0 to 1 or nothing.
function paint(figure, columns, rows, value) {
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
}

function Service(name) {
	const head = make("div", { className: "head" }), facts = make("dl", { className: "facts" });
	const title = make("h2", { id: "service-" + name, tabIndex: -1 }, name);
	const where = make("span", { className: "where" }), acts = make("span", { className: "acts" });
	const note = make("p", { className: "note", hidden: true }), body = make("tbody");
	const which = make("select", { "aria-label": "Worker whose latency is shown" });
	const spread = Figure("Connections/s of each worker, worker 0 at the bottom");
	const heat = Figure("First byte of answers, ", make("label", {}, "of ", which));
	const columns = [["Worker", ""], ["State", "left"], ["Conn/s", "left rate"], ["Live", ""],
		["Queue", ""], ["Weight", "wide"], ["CPU %", "wide"], ["Memory", "wide"], ["First byte p50, p99", "wide latency"],
		["Restarts", "wide"], ["", "act"]];
	const row = make("tr", {}, ...columns.map(([text, className]) =>
		text ? make("th", { scope: "col", className }, text) : make("td", { className, hidden: !about.changes })));
	head.append(title, where, make("a", { href: `api/services/${name}/plot.svg`, target: "_blank", title: "Picture of the last while" }, "SVG"), acts);
	heat.element.hidden = true;
	which.append(make("option", { value: "" }, "all workers"));
	which.onchange = () => drawLatency(this);
	Object.assign(this, {
		name, title, where, acts, note, body, row, facts, spread, heat, which, samples: [], rows: [], shown: {},
		element: make("section", { className: "card", "aria-labelledby": "service-" + name }, head, note, facts,
			make("div", { className: "table" }, make("table", {}, make("thead", {}, row), body)), spread.element, heat.element),
	});
	addFacts(this);
	if (about.changes) addActs(this);
}

function addFacts(service) {
	const list = service.facts;
	service.fact = {
		rate: Fact(list, "Connections/s"), live: Fact(list, "Live"), queued: Fact(list, "Queued"),
		uneven: Fact(list, "Max/mean", "The largest rate of a worker over the mean, by their weights"),
		held: Fact(list, "Held/s", "Connections that waited for an idle worker"),
		fallback: Fact(list, "Fallback", "Left to the kernel's hash"),
		migrated: Fact(list, "Migrated"), policy: Fact(list, "Policy"), keeper: Fact(list, "Keeper"),
	};
}

function addActs(service) {
	const { name } = service, policy = make("select", { "aria-label": "Policy of " + name });
	policy.append(...about.policies.map((text) => make("option", { value: text }, text)));
	policy.onchange = async () => {
		const wanted = policy.value;
		policy.value = service.now.policy;
		await change(`Switch ${name} to policy ${wanted}?`, `${name}/policy`, { policy: wanted });
	};
	service.policy = policy;
	service.reload = make("button", {
		onclick: () => change(`Reload ${name}: a new process for each worker, one after the other?`, `${name}/reload`),
	}, "Reload");
	service.acts.append(policy, service.reload);
}

// The cells of a worker's row, and how they are filled.
function Row(service, worker) {
	const cell = (className) => make("td", { className: className || "" });
	const fill = make("span", { className: "fill" }), fair = make("span", { className: "fair", title: "its share" });
	const count = make("span", { className: "number" });
	const cells = {
		worker: make("th", { scope: "row" }, String(worker)), state: cell("left"), rate: cell("left rate"),
		live: cell(), queue: cell(), weight: cell("wide"), cpu: cell("wide"), memory: cell("wide"),
		latency: cell("wide latency"), restarts: cell("wide"), act: cell("act"),
	};
	const state = make("span"), queued = make("span"), room = make("span", { className: "wide" });
	cells.state.append(state);
	cells.queue.append(queued, room);
	cells.rate.append(make("span", { className: "bar" }, make("span", { className: "track", "aria-hidden": "true" }, fill, fair), count));
	Object.assign(this, { cells, state, queued, room, fill, fair, count, element: make("tr", {}, ...Object.values(cells)) });
	cells.act.hidden = !about.changes;
	if (about.changes) addWorkerActs(this, service, worker);
}

function addWorkerActs(row, service, worker) {
	const path = `${service.name}/workers/${worker}/`, of = `worker ${worker} of ${service.name}`;
	row.drain = make("button", {
		onclick: () => {
			const resumes = service.now.workers[worker].state === "draining";
			change(resumes ? `Give ${of} its share again?` : `Drain ${of}? It gets no new connection; those it has go on.`,
				path + (resumes ? "resume" : "drain"));
		},
	}, "Drain");
	row.weight = make("button", {
		title: "Change the weight of " + of,
		onclick: () => change(`Give ${of} another weight?`, path + "weight", { weight: service.now.workers[worker].weight }),
	}, "1");
	row.cells.weight.append(row.weight);
	row.cells.act.append(row.drain);
}

// --- figures ---

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

function updateRow(service, row, worker, most, total) {
	const { now } = service, it = now.workers[worker], then = before(service, SMOOTH);
	const mine = rate(now, then, selectedOf(worker)), weights = now.workers.reduce((sum, w) => sum + (w.state === "up" ? w.weight : 0), 0);
	const fair = it.state === "up" && weights ? total * it.weight / weights : 0;
	put(row.state, it.state + (it.state === "stalled" ? ` ${number(it.stalled_ms / 1000)} s` : ""));
	row.state.className = "state-" + it.state;
	row.fill.style.width = (most ? 100 * mine / most : 0) + "%";
	row.fair.hidden = !fair;
	row.fair.style.left = `calc(${most ? Math.min(100, 100 * fair / most) : 0}% - 1px)`;
	put(row.count, number(mine));
	put(row.cells.live, number(it.live + it.half_open));
	put(row.queued, number(it.queued));
	put(row.room, it.queue_max ? "/" + it.queue_max : "");
	put(row.weight || row.cells.weight, String(it.weight));
	put(row.cells.cpu, it.pid ? number(rate(now, then, (s) => s.workers[worker] ? s.workers[worker].cpu_ms : 0) / 10) : "");
	put(row.cells.memory, bytes(it.memory_bytes));
	put(row.cells.restarts, String(it.restarts));
	if (row.drain) put(row.drain, it.state === "draining" ? "Resume" : "Drain");
	if (row.drain) row.drain.setAttribute("aria-label", `${row.drain.textContent} worker ${worker} of ${service.name}`);
	row.cells.latency.hidden = !service.measured;
	if (!service.measured) return;
	const counts = latencyDelta(now, before(service, 10))(String(worker));
	const shown = [0.5, 0.99].map((share) => quantile(counts, share)).filter((ns) => ns).map(duration);
	put(row.cells.latency, shown.join(", "));
}

function updateRows(service) {
	const { now } = service, then = before(service, SMOOTH);
	const rates = now.workers.map((w, i) => rate(now, then, selectedOf(i)));
	const most = Math.max(...rates, 0), total = rates.reduce((sum, value) => sum + value, 0);
	while (service.rows.length > now.workers.length) service.rows.pop().element.remove();
	while (service.rows.length < now.workers.length) {
		const row = new Row(service, service.rows.length);
		service.rows.push(row);
		service.body.append(row.element);
	}
	service.measured = now.workers.some((worker) => worker.latency);
	service.row.querySelector(".latency").hidden = !service.measured;
	service.rows.forEach((row, i) => updateRow(service, row, i, most, total));
	const scaled = now.workers.map((w, i) => w.state === "up" ? [rates[i] / w.weight, w.weight] : [0, 0]);
	const weights = scaled.reduce((sum, [, weight]) => sum + weight, 0);
	const mean = weights ? scaled.reduce((sum, [value, weight]) => sum + value * weight, 0) / weights : 0;
	service.fact.rate(number(total));
	service.fact.uneven(mean ? (Math.max(...scaled.map(([value]) => value)) / mean).toFixed(2) : "–");
}

function notes(now) {
	const list = [];
	if (now.keeper.gone) list.push("Its keeper is gone." + (now.keeper.again ? " This takes it up again: " + now.keeper.again : ""));
	if (now.unregistered) list.push(`${now.unregistered} sockets listen there and get nothing from lbctl.`);
	if (now.listeners.some((listener) => !listener.steering)) list.push("Not all of its listeners are steered, or it can't be seen.");
	if (now.totals.taken_off) list.push(`The program was taken off ${now.totals.taken_off} times, and put back.`);
	return list.join(" ");
}

function updateFacts(service) {
	const { now, fact } = service, then = before(service, SMOOTH), sum = (key) => now.workers.reduce((n, w) => n + w[key], 0);
	const text = notes(now);
	put(service.where, now.listeners.map((l) => (l.proto === "udp" ? "udp/" : "") + l.addr).join(", "));
	fact.live(number(sum("live") + sum("half_open")));
	fact.queued(number(sum("queued")));
	fact.held(now.holding || now.counters.held ? number(rate(now, then, (s) => s.counters.held)) : "–");
	fact.fallback(number(now.totals.fallback));
	fact.migrated(number(now.totals.migrated));
	fact.policy(now.policy);
	fact.keeper(now.keeper.alive ? String(now.keeper.pid) : "–");
	put(service.note, text);
	service.note.hidden = !text;
	if (service.policy && document.activeElement !== service.policy) service.policy.value = now.policy;
	if (service.reload) service.reload.hidden = !now.keeper.alive;
}

function drawSpread(service) {
	const { samples, spread, now } = service, columns = samples.slice(1).map((sample, i) => {
		return now.workers.map((w, worker) => rate(sample, samples[i], selectedOf(worker)));
	});
	const most = Math.max(1, ...columns.map((values) => Math.max(...values, 0)));
	paint(spread, columns, now.workers.length, (column, y) => column[y] / most);
	put(spread.low, "");
	put(spread.high, `darkest: ${number(most)}/s`);
	spread.canvas.setAttribute("aria-label", `Heat map of connections per second over time, the most ${number(most)}`);
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
	paint(heat, cells, rows, (column, y) => Math.log1p(Math.max(0, column.get(y) || 0)) / Math.log1p(most));
	put(heat.low, `bottom: ${duration(bounds[0])}`);
	put(heat.high, `top: ${duration(bounds[0] * 2 ** ((rows - 1) / 4))}`);
	heat.canvas.setAttribute("aria-label", `Heat map of the time to the first byte over time, from ${duration(bounds[0])}`);
}

// --- what comes ---

function show() {
	const shown = latest.services.map((now) => {
		const service = services.get(now.service);
		service.now = now;
		updateRows(service);
		updateFacts(service);
		drawSpread(service);
		drawLatency(service);
		return service;
	});
	for (const { service: name, error } of latest.unreadable) {
		const service = services.get(name);
		put(service.note, error);
		service.note.hidden = false;
		shown.push(service);
	}
	// what stands where it was is left alone: it may have the focus
	shown.forEach(({ element }, i) => {
		const there = $("services").children[i + 1];
		if (there !== element) $("services").insertBefore(element, there || null);
	});
	$("none").hidden = shown.length > 0;
}

function takeState(state) {
	const names = new Set([...state.services, ...state.unreadable].map((row) => row.service));
	for (const name of names) {
		if (services.has(name)) continue;
		services.set(name, new Service(name));
		$("told-of").append(make("option", { value: name }, name));
	}
	for (const [name, service] of services) {
		if (names.has(name)) continue;
		service.element.remove();
		services.delete(name);
		[...$("told-of").options].filter((option) => option.value === name).forEach((option) => option.remove());
	}
	for (const now of state.services) {
		const { samples } = services.get(now.service);
		samples.push(Object.assign(now, { time_ms: state.time_ms }));
		if (samples.length > KEPT + 1) samples.shift();
	}
	latest = state;
	if (!paused) show();
}

function takeEvent(event) {
	const key = `${event.service}/${event.time}/${event.seq}`, list = $("events");
	if (seen.has(key)) return;
	seen.add(key);
	const at = new Date(event.time * 1000), line = make("li", {},
		make("time", { dateTime: at.toISOString() }, at.toLocaleTimeString("en-GB")),
		make("span", { className: "of" }, event.service), event.text);
	line.dataset.service = event.service;
	line.hidden = $("told-of").value !== "" && $("told-of").value !== event.service;
	list.prepend(line);
	if (list.children.length > EVENTS) list.lastChild.remove();
	if (seen.size > 4 * EVENTS) seen.delete(seen.values().next().value);
}

function connect() {
	const source = new EventSource("api/events");
	source.onopen = () => put($("link"), about.changes ? "live" : "live, read-only");
	source.onerror = () => {
		put($("link"), "no connection; what is shown is old");
		if (source.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
	};
	source.addEventListener("state", (message) => takeState(JSON.parse(message.data)));
	source.addEventListener("event", (message) => takeEvent(JSON.parse(message.data)));
}

// --- the page ---

function setTheme(theme) {
	if (theme === "auto") delete document.documentElement.dataset.theme;
	else document.documentElement.dataset.theme = theme;
	put($("theme"), "Theme: " + theme);
	try { localStorage.setItem("theme", theme); } catch { /* it is not kept then */ }
	if (latest) show();
}

function nextTheme() {
	const themes = ["auto", "light", "dark"], now = document.documentElement.dataset.theme || "auto";
	setTheme(themes[(themes.indexOf(now) + 1) % themes.length]);
}

function setPaused(value) {
	paused = value;
	$("pause").setAttribute("aria-pressed", String(paused));
	put($("pause"), paused ? "Go on" : "Pause");
	if (!paused && latest) show();
}

function step(by) {
	const titles = [...document.querySelectorAll(".card h2")], at = titles.indexOf(document.activeElement);
	const to = titles[Math.min(titles.length - 1, Math.max(0, at + by))];
	if (to) to.focus();
	if (to) to.scrollIntoView({ block: "start" });
}

const keys = {
	j: () => step(1), k: () => step(-1), e: () => $("told-title").focus(), t: nextTheme,
	" ": () => setPaused(!paused), "?": () => $("help").showModal(),
};

document.addEventListener("keydown", (event) => {
	const own = event.target.closest("input, select, dialog") || (event.key === " " && event.target.closest("button, a, #log"));
	if (own || event.ctrlKey || event.altKey || event.metaKey || !keys[event.key]) return;
	event.preventDefault();
	keys[event.key]();
});
$("theme").onclick = nextTheme;
$("pause").onclick = () => setPaused(!paused);
$("keys").onclick = () => $("help").showModal();
$("told-of").onchange = () => {
	for (const line of $("events").children)
		line.hidden = $("told-of").value !== "" && $("told-of").value !== line.dataset.service;
};
window.addEventListener("resize", () => latest && !paused && show());

let theme = "auto";
try { theme = localStorage.getItem("theme") || "auto"; } catch { /* nothing is kept here */ }
setTheme(theme);
fetch("api/about").then((answer) => answer.json()).then((value) => { about = value; }).catch(() => {}).finally(connect);

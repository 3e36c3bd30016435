// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The page of lbctl export. All it shows comes by /api/events: each second what `lbctl show --json`
// has of every service, and what `lbctl events --json` tells. Text is only ever set as text. The
// page has page_service.js and page_figures.js behind this, in one script.
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

// --- what comes ---

// All services in a line, with what is wrong somewhere below.
function summarize() {
	const workers = latest.services.flatMap((now) => now.workers), count = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
	const states = ["stalled", "down"].map((state) => [workers.filter((w) => w.state === state).length, state]);
	const rates = latest.services.map((now) => services.get(now.service).rate || 0);
	const bad = states.filter(([n]) => n).map(([n, state]) => `${n} ${state}`);
	if (latest.unreadable.length) bad.push(`${latest.unreadable.length} unreadable`);
	put($("sum"), !latest.services.length ? "" : `${count(latest.services.length, "service")}, ${count(workers.length, "worker")}, ` +
		`${number(rates.reduce((all, rate) => all + rate, 0))} connections/s`);
	put($("bad"), bad.join(", "));
}

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
	summarize();
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

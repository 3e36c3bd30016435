// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A service on the page: its facts, its workers' rows, and what can be done to them.

function Fact(list, name, title) {
	const value = make("dd", {}, "");
	list.append(make("div", title ? { title } : {}, make("dt", {}, name), value));
	return (text) => put(value, text);
}

function Service(name) {
	const head = make("div", { className: "head" }), facts = make("dl", { className: "facts" });
	const title = make("h2", { id: "service-" + name, tabIndex: -1 }, name);
	const where = make("span", { className: "where" }), acts = make("span", { className: "acts" });
	const note = make("p", { className: "note", hidden: true }), body = make("tbody");
	const which = make("select", { "aria-label": "Worker whose latency is shown" });
	const spread = Figure("Connections/s of each worker, worker 0 at the bottom");
	const heat = Figure("Time to the first byte of an answer", make("label", {}, "of ", which));
	const columns = [["Worker", ""], ["State", "left"], ["Conn/s", "left rate"], ["Live", ""],
		["Queue", ""], ["Weight", "wide"], ["CPU %", "wide"], ["Busy %", "wide latency"], ["Memory", "wide"], ["First byte p50, p99", "wide latency"],
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
			make("div", { className: "table", tabIndex: 0, role: "group", "aria-label": "Workers of " + name }, make("table", {}, make("thead", {}, row), body)), spread.element, heat.element),
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
		live: cell(), queue: cell(), weight: cell("wide"), cpu: cell("wide"), busy: cell("wide latency"), memory: cell("wide"),
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

// --- what they show ---

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
	row.cells.latency.hidden = row.cells.busy.hidden = !service.measured;
	if (!service.measured) return;
	const busy = busyShare(now, before(service, 10), worker);
	put(row.cells.busy, busy === null ? "–" : number(Math.round(100 * busy)));
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
	for (const cell of service.row.querySelectorAll(".latency")) cell.hidden = !service.measured;
	service.rows.forEach((row, i) => updateRow(service, row, i, most, total));
	const scaled = now.workers.map((w, i) => w.state === "up" ? [rates[i] / w.weight, w.weight] : [0, 0]);
	const weights = scaled.reduce((sum, [, weight]) => sum + weight, 0);
	const mean = weights ? scaled.reduce((sum, [value, weight]) => sum + value * weight, 0) / weights : 0;
	service.rate = total;
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

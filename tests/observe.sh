#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# observe.sh: holds the dashboard and the alert rules in tools/observe against what the build makes of
# the tables of metrics, and what they name against those. Needs no root. Called by run.sh; reports as
# a cmocka program does.
#
# shellcheck disable=SC2016 # what Grafana puts in the place of $service
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C
# shellcheck source=tests/shell_tests.sh
. tests/shell_tests.sh

program=${LBCTL_BUILD:-build}/lbctl-observe
dashboard=tools/observe/grafana.json
rules=tools/observe/rules.yml

# lbctl_worker_selected_total, a line each
metrics() {
	sed -n 's/^\tX("\([a-z_]*\)", .*/lbctl_\1/p' user/cmd/metrics.h
	counters | sed 's/.*/lbctl_&_total/'
	sed -n '/define LB_SLOT_COUNTERS/,$ s/^\tX(\([a-z_]*\),.*/lbctl_worker_\1_total/p' include/lb_counters.h
	sed -n '/define LB_LATENCY_SPANS/,$ s/^\tX(\([a-z_]*\),.*/lbctl_worker_\1_seconds_total/p' include/lb_latency.h
	echo lbctl_service_info
}

# Of services.
counters() {
	sed -n '/define LB_SLOT_COUNTERS/q; s/^\tX(\([a-z_]*\),.*/\1/p' include/lb_counters.h
}

expressions() {
	jq -r '.panels[].targets[].expr' $dashboard
}

test_files_are_what_the_build_makes() {
	"$program" grafana | diff - $dashboard || echo "make observe-files makes it anew"
	"$program" rules | diff - $rules || echo "make observe-files makes it anew"
}

test_each_name_is_a_metric() {
	local named
	named=$({ expressions; cat $rules; } | grep -oE 'lbctl_[a-z_]*[a-z]' | grep -v '^lbctl_worker$' | sort -u)
	[ "$(wc -l <<<"$named")" -gt 30 ] || echo "only some names found: $named"
	comm -23 <(echo "$named") <(metrics | sort -u) | sed 's/$/: no such metric/'
}

test_each_counter_has_a_panel() {
	local name panels
	[ "$(counters | wc -l)" -ge 20 ] || echo "only some counters found"
	panels=$(expressions)
	counters | while read -r name; do
		[[ $panels == *"rate(lbctl_${name}_total{"* ]] || echo "no panel for $name"
	done
}

# Panels do not lie on one another, and all have their title and data source.
test_dashboard_is_laid_out() {
	jq -r '.panels | (map(.gridPos | "\(.x),\(.y)") | group_by(.)[] | select(length > 1) | "two panels at " + .[0]),
		(map(.id) | select(unique != .) | "an id is there twice"),
		(.[] | select(.title == "" or .datasource.uid != "${source}" or .gridPos.x + .gridPos.w > 24) | .title + ": not laid out")' $dashboard
}

test_promtool_takes_rules_and_expressions() {
	local made
	command -v promtool >/dev/null || { echo 'SKIP: no promtool (Debian: prometheus)'; return; }
	promtool check rules $rules >/dev/null 2>&1 || promtool check rules $rules
	made=$(mktemp)
	expressions | sed 's/\$__rate_interval/1m/g; s/\$service/web/g' |
		jq -R '{record: "lbctl:x", labels: {n: "\(input_line_number)"}, expr: .}' |
		jq -s '{groups: [{name: "x", rules: .}]}' >"$made"
	promtool check rules "$made" >/dev/null 2>&1 || promtool check rules "$made"
	rm "$made"
}

run_tests

#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# grafana.sh [DASHBOARD]: holds the dashboard, tools/observe/grafana.json if none is named, against the
# types that Grafana makes of its schema (npm: @grafana/grafana-foundation-sdk, for the dashboard, panels
# of time series and queries of Prometheus; TypeScript's compiler reads them). Then it breaks the dashboard
# in each of the ways below: what goes unnoticed is a failure, too. What a unit or an icon may be called
# and what an expression means is no part of the types; `make observe` asks a Prometheus for the latter.
# Needs neither root nor, once the packages are in the cache, a network; called by `make compat`. Exit
# status: 0 if it all is so.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1

# shellcheck source=tests/compat/lib.sh
. tests/compat/lib.sh
cache=${LB_COMPAT_CACHE:-$HOME/.cache/lbctl-compat}/grafana
sdk=0.0.21
typescript=5.9
dashboard=${1:-tools/observe/grafana.json}

# NAME, and what jq does with the dashboard
breaks() {
	cat <<-'END'
		no-schema-version del(.schemaVersion)
		no-title del(.title)
		refresh-is-a-number .refresh = 10
		time-without-an-end del(.time.to)
		what-a-dashboard-has-not .panelz = []
		id-is-a-text .panels[3].id = "4"
		another-kind-of-panel .panels[3].type = "graph"
		what-a-panel-has-not .panels[3].colour = "red"
		no-height del(.panels[3].gridPos.h)
		overrides-are-no-list .panels[3].fieldConfig.overrides = {}
		no-overrides del(.panels[3].fieldConfig.overrides)
		least-is-a-text .panels[3].fieldConfig.defaults.min = "0"
		no-legend del(.panels[3].options.legend)
		no-such-legend .panels[3].options.legend.displayMode = "rows"
		no-such-place .panels[3].options.legend.placement = "left"
		no-expression del(.panels[3].targets[0].expr)
		what-a-query-has-not .panels[3].targets[0].query = "up"
		source-is-a-number .panels[3].datasource.uid = 1
		no-such-variable .templating.list[1].type = "metric"
		no-such-refresh .templating.list[1].refresh = 7
		variables-are-no-list .templating = []
	END
}

# The literal has to be written where its type is: only there what a type has not is an error.
as_literal() { # NAME: of standard input
	{
		echo "import type { Checked } from './dashboard';"
		echo "export const dashboard: Checked ="
		cat
	} >"$cache/checked/$1.ts"
}

# Prints FILE(LINE,COLUMN): error ... of all that is written so far.
compile() {
	(cd "$cache/checked" && ../node_modules/.bin/tsc --noEmit --strict --skipLibCheck --module nodenext \
		--moduleResolution nodenext --target es2022 --pretty false ./*.ts)
}

check_as_it_is() {
	rm -rf "$cache/checked"
	mkdir -p "$cache/checked"
	cp "$tests/apps/dashboard.ts" "$cache/checked/"
	as_literal as-it-is <"$dashboard"
	compile >"$cache/said" || bad "$dashboard: $(head -n 3 "$cache/said")"
}

check_breaks() {
	local name change
	while read -r name change; do
		jq "$change" "$dashboard" | as_literal "$name" || bad "can't be done: $change"
	done < <(breaks)
	compile >"$cache/said"
	while read -r name change; do
		grep -q "^$name\.ts(" "$cache/said" || bad "goes unnoticed: $name ($change)"
	done < <(breaks)
}

npm_into "$cache" "@grafana/grafana-foundation-sdk@$sdk" "typescript@$typescript" || exit 1
check_as_it_is
if [ ${#problems[@]} = 0 ]; then
	check_breaks
fi
if [ ${#problems[@]} -gt 0 ]; then
	printf '%s\n' "${problems[@]}"
	exit 1
fi
echo "$dashboard is as Grafana's types have it; $(breaks | wc -l) ways to break it are noticed"

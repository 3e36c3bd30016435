// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * types.js: prints each name that a module of tools/node exports and its types do not, and the other
 * way round: for CommonJS and ESM, and of class Worker and the options of join() as well.
 */
'use strict';
const fs = require('fs');
const path = require('path');
const { pathToFileURL } = require('url');

const DIR = path.resolve(__dirname, '../../../tools/node');

function source(file) {
	return fs.readFileSync(path.join(DIR, file), 'utf8').replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, '');
}

function found(text, pattern) {
	return [...text.matchAll(pattern)].map(([, name]) => name);
}

/* What stands between the braces that follow. */
function members(text, begin) {
	const from = text.indexOf(begin);
	if (from < 0)
		throw new Error(`no "${begin}"`);
	return found(text.slice(from, text.indexOf('}', from)), /^\s+(?:readonly )?(\w+)\??[(:]/gm);
}

/* The values that a file declares; interfaces and other types are none. */
function declared(file) {
	const text = source(file);
	const types = new Set(found(text + source(file.replace('.mts', '.ts')), /\b(?:interface|type) (\w+)/g));
	const lists = found(text, /export \{([^}]*)\}/g).join().split(',').map((name) => name.trim());
	const names = [...found(text, /export (?:declare )?(?:function|const|class) (\w+)/g), ...lists,
		...found(text, /export (default)\b/g),
		...(/export = lbctl;/.test(text) ? members(text, 'declare const lbctl: {') : [])];
	return names.filter((name) => name && !types.has(name));
}

function compare(what, has, types) {
	for (const name of has.filter((each) => !types.includes(each)))
		console.log(`${what}: no type of ${name}`);
	for (const name of types.filter((each) => !has.includes(each)))
		console.log(`${what}: there is no ${name}`);
}

async function main() {
	const { files, exports } = JSON.parse(fs.readFileSync(path.join(DIR, 'package.json'), 'utf8'));

	compare('files', files.filter((file) => file !== 'README.md'),
		fs.readdirSync(DIR).filter((file) => /\.(m?js|ts|mts)$/.test(file)));
	for (const [name, how] of Object.entries(exports)) {
		if (typeof how === 'string')
			continue;
		const required = require(path.join(DIR, how.require.default));
		const imported = await import(pathToFileURL(path.join(DIR, how.import.default)));
		compare(`require ${name}`, Object.keys(required), declared(how.require.types));
		compare(`import ${name}`, Object.keys(imported), declared(how.import.types));
	}
	const code = source('join.js'), types = source('join.d.ts');
	compare('Worker', found(code.slice(code.indexOf('class Worker'), code.indexOf('\n}', code.indexOf('class Worker'))),
		/^\t(?:get |async )?(\w+)\([^)]*\) \{/gm).filter((name) => name !== 'constructor'), members(types, 'interface Worker {'));
	compare('Options', found(code.match(/function join\(server, \{([^]*?)\} = \{\}/)[1], /(\w+) = /g), members(types, 'interface Options {'));
}

main();

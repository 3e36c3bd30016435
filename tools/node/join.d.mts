// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
export { join, report, Options, Worker } from './join.js';

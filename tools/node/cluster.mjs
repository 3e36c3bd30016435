// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
import cluster from './cluster.js';

export const { active } = cluster;
export default cluster;

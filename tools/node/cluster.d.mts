// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
import lbctl from './cluster.js';

export declare const active: boolean;
export type Listen = lbctl.Listen;
export default lbctl;

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
import lbctl from './join.js';

export const { join, report } = lbctl;

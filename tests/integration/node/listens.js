// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Loaded before a program: a line of JSON in the file $LISTENS for each listen of a cluster's worker. */
'use strict';
require('diagnostics_channel').channel('lbctl.cluster.listen').subscribe((listen) => {
	require('fs').appendFileSync(process.env.LISTENS, JSON.stringify(listen) + '\n');
});

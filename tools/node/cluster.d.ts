// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
declare const lbctl: {
	/** Is it at work in this process? Not with LBCTL_CLUSTER=off, below `lbctl run`, in a thread ... */
	readonly active: boolean;
};

declare namespace lbctl {
	/** What is published on the diagnostics channel `lbctl.cluster.listen`, in the primary. */
	interface Listen {
		/** worker.id */
		worker: number;
		/** null: all addresses */
		address: string | null;
		port: number;
		/** Has it got a socket of its own? */
		own: boolean;
		/** If not, why: then the primary listens, as without lbctl, or there is an error. */
		why?: string;
	}
}

export = lbctl;

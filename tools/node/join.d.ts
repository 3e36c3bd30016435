// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/// <reference types="node" />
import { Server } from 'net';

export interface Options {
	/** Name of the service; LBCTL_SERVICE without it. */
	service?: string;
	/** The number that it asks for; LBCTL_WORKER without it, else any. */
	worker?: number;
	/** How often to report the utilisation of the event loop by itself, 250 without it; 0: never. */
	reportMs?: number;
}

export interface Worker {
	/** As `lbctl show` counts them; -1 while it is in no service. */
	readonly number: number;
	/**
	 * How loaded it is, a number from 0, in any unit that all workers of the service have; without
	 * one, how busy the event loop was since the last report, in percent. For policy least-load.
	 */
	report(load?: number): void;
	/** The last report still holds. */
	heartbeat(): void;
	/** No more reports. The socket stays in the service until the server is closed. */
	close(): void;
}

/**
 * Puts the server's listening socket into the service, once it listens (with SO_REUSEPORT). Stays
 * connected to report, and joins again when the service's keeper was started anew. Rejects with the
 * keeper's reason, and then `status` is what a command of lbctl would exit with; or with why there is
 * no keeper to ask (`code`).
 */
export function join(server: Server, options?: Options): Promise<Worker>;

/** worker.report() of each that has joined in this process. */
export function report(load?: number): void;

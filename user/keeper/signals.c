// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What signals ask of a keeper, and what it does when its terminal goes. */
#include <errno.h>
#include <signal.h>

#include "keeper/log_files.h"
#include "keeper/parts.h"
#include "keeper/terminal.h"

/* Nobody waits for it, but `events` tells when it is done. */
static void reload(struct keeper *keeper)
{
	char why[RENEW_BYTES];

	if (!keeper->options.argv || keeper->plan.stop)
		return;
	if (!renew_begin(keeper, LB_ALL_WORKERS, 1, 0, why))
		event_tell(keeper->log, "trouble", NULL, "no reload: %s", why);
}

/*
 * Workers outlive the terminal of lbctl, but not all survive their first word to one that is gone.
 */
void signals_check_terminal(struct keeper *keeper)
{
	uint8_t lost = keeper->terminal ? terminal_take_lost(&keeper->terminal) : 0;
	bool renew = lost & TERMINAL_OUTPUTS && keeper->options.argv && !keeper->options.log_dir &&
		     !keeper->plan.stop;

	if (!lost)
		return;
	event_log_reopen(keeper->log);
	event_tell(keeper->log, "hangup", NULL, "the terminal is gone; workers go on%s",
		   renew ? ", in new processes whose output goes nowhere" : "");
	if (renew)
		reload(keeper);
}

static void hang_up(struct keeper *keeper)
{
	uint8_t before = keeper->terminal;

	signals_check_terminal(keeper);
	if (before != keeper->terminal)
		return;
	if (keeper->terminal)
		event_tell(keeper->log, "hangup", NULL,
			   "SIGHUP, but there is a terminal: workers go on; lbctl reload %s gives "
			   "them new processes",
			   keeper->options.name);
	else
		reload(keeper);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	struct keeper *keeper = arg;

	(void)source;
	switch (info->ssi_signo) {
	case SIGHUP:
		hang_up(keeper);
		break;
	case SIGUSR1:
		log_files_check(keeper);
		break;
	case SIGUSR2:
		keeper_leave(keeper);
		break;
	case SIGTERM:
	case SIGINT:
		keeper_stop(keeper, EXIT_DONE);
		break;
	}
	return 0;
}

int signals_open(struct keeper *keeper)
{
	const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE };
	const size_t n = sizeof(signals) / sizeof(signals[0]);
	sigset_t set;
	int err = 0;

	sigemptyset(&set);
	for (size_t i = 0; i < n; i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; i < n && err >= 0; i++)
		err = sd_event_add_signal(keeper->loop, NULL, signals[i], on_signal, keeper);
	return err < 0 ? err : 0;
}

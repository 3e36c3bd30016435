// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See sysd.h. The interface: org.freedesktop.systemd1(5). */
#include "cmd/sysd.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <systemd/sd-bus.h>

#include "base/cleanup.h"

#define MANAGER "org.freedesktop.systemd1"
/* As systemctl does for root: works where no D-Bus daemon runs, or not any more at shutdown. */
#define PRIVATE_SOCKET "unix:path=/run/systemd/private"
#define TIMEOUT_US (20 * 1000000ULL)

static int connect_manager(sd_bus **bus)
{
	int err = sd_bus_new(bus);

	if (err >= 0)
		err = sd_bus_set_address(*bus, PRIVATE_SOCKET);
	if (err >= 0)
		err = sd_bus_set_method_call_timeout(*bus, TIMEOUT_US);
	return err < 0 ? err : sd_bus_start(*bus);
}

/* The unit's property Job is (id, path), and id 0 is none. */
static int read_job(sd_bus *bus, const char *unit_path, char type[SYSD_JOB_MAX])
{
	_cleanup_free_ char *text = NULL;
	sd_bus_message *reply = NULL;
	const char *path;
	uint32_t id;
	int err;

	err = sd_bus_get_property(bus, MANAGER, unit_path, MANAGER ".Unit", "Job", NULL, &reply,
				  "(uo)");
	if (err >= 0)
		err = sd_bus_message_read(reply, "(uo)", &id, &path);
	if (err >= 0 && id)
		err = sd_bus_get_property_string(bus, MANAGER, path, MANAGER ".Job", "JobType",
						 NULL, &text);
	if (err >= 0)
		snprintf(type, SYSD_JOB_MAX, "%s", text ? text : "");
	sd_bus_message_unref(reply);
	return err < 0 ? err : 0;
}

int sysd_job(const char *unit, char type[SYSD_JOB_MAX])
{
	_cleanup_free_ char *path = NULL;
	sd_bus *bus = NULL;
	int err = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path);

	if (err >= 0)
		err = connect_manager(&bus);
	if (err >= 0)
		err = read_job(bus, path, type);
	sd_bus_flush_close_unref(bus);
	return err < 0 ? err : 0;
}

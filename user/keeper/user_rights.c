// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See user_rights.h. */
#include "keeper/user_rights.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include "host/trusted_path.h"

int user_rights_take(const char *path, const char *user)
{
	const struct passwd *who = user ? getpwnam(user) : NULL;
	int err = trusted_path(path, who);

	if (!err || !who)
		return err;
	if (initgroups(who->pw_name, who->pw_gid))
		return -errno;
	/* the capabilities that pass by file modes go with the file system's user id */
	setfsgid(who->pw_gid);
	setfsuid(who->pw_uid);
	/* neither tells whether it did */
	if ((uid_t)setfsuid(-1) == who->pw_uid)
		return 0;
	user_rights_give_back();
	return -EPERM;
}

void user_rights_give_back(void)
{
	setfsuid(geteuid());
	setfsgid(getegid());
}

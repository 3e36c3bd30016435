// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A server with no library to preload into and no runtime to configure, on port 8080. Answers with
 * its pid, one connection after another.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(8080) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), connection;
	char text[1000];

	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) || listen(fd, 100))
		return 1;
	for (;;) {
		connection = accept(fd, NULL, NULL);
		if (read(connection, text, sizeof(text)) > 0) {
			snprintf(text, sizeof(text), "HTTP/1.0 200 OK\r\nX-Worker: %d\r\n\r\n",
				 getpid());
			if (write(connection, text, strlen(text)) < 0)
				return 1;
		}
		close(connection);
	}
}
